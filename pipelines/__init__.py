"""Pipelines made of components, and the command line `falaj`."""
