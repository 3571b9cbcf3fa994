"""Formats that models come in: how each is read, and what it may hold so that it only computes."""
