"""PyTorch: the 12 networks, their weights, and modules read as graphs and run."""
