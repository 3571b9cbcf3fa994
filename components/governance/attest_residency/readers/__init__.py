"""Readers: one file for each kind of thing that is looked at."""
