"""Leave evidence."""
