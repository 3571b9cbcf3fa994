"""What each command of `falaj` takes and does: one file a command, `add` first."""
