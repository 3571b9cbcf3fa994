"""A Feast registry store: one S3 object, moved by compare-and-swap."""
