"""Models of the flights example: functions that the trainers call by entry point."""
