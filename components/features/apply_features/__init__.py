"""Register the definitions of a Feast repository."""
