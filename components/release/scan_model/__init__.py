"""Judge what a model folder holds before it is sealed."""
