"""Numbers that judge: metrics, intervals, tests."""
