"""Who may ask: bearer tokens and certificates."""
