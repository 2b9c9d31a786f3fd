"""What judges: networks with their weights, and what they made of images before."""
