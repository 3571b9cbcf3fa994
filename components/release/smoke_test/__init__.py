"""Try a candidate in the real server."""
