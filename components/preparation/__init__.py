"""Check, clean, describe and split tables."""
