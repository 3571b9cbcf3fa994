"""Look at an installation from where the user stands, and say what it lacks; writes nothing."""
