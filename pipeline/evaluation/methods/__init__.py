"""What is judged: training runs, folders of outputs, and the baselines beside them."""
