"""Take the profile out of a release."""
