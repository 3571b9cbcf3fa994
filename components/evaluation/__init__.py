"""Measure models and decide between them."""
