"""Train a PyTorch model from a user's function."""
