"""Deploy a sealed release into the free slot of a model."""
