"""Stop a run unless a verdict passes."""
