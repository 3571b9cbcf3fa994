"""Grow a raw table from a paged REST collection."""
