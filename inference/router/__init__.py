"""Splits a model's requests among variants, sticky for a subject."""
