"""Turn a model into a sealed release."""
