"""Measure a model, as it will be served, on rows it never saw."""
