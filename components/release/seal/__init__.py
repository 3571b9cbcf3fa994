"""Seal a blessed model into a release."""
