"""Define, join and materialise features with Feast."""
