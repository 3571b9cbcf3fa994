"""Point a channel at a release."""
