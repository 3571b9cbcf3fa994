"""Measure how right predictions were, once labels have come."""
