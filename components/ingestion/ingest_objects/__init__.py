"""Grow a raw table from objects in the object store."""
