"""What every step stands on; knows nothing of kfp."""
