"""What components there are, read from their own code."""
