"""Check a table against a contract, in one pass."""
