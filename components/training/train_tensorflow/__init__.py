"""Train a Keras model from a user's function."""
