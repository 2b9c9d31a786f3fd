"""The training loop and what it stands on: phases, averages, checkpoints, logs."""
