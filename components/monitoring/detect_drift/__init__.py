"""Tell whether a window looks like the reference, by their profiles."""
