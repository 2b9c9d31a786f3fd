"""The training loop and its parts: phases, moving averages, checkpoints, logs."""
