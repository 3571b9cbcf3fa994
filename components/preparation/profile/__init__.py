"""Describe what columns hold, in counts that add up and tell of nobody."""
