"""Bring data in, exactly once."""
