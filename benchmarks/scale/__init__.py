"""What a build of many photos costs on a cluster: measured costs, a simulation of the runner, and a model."""
