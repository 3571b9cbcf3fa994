"""Grow a raw table from a SQL table, by a key."""
