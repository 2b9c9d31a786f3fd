"""What CONTRIBUTING.md tells, done: in a copy of the repository a recipe and a model are added, and tested."""
