"""Worked examples: copy a folder to begin a project."""
