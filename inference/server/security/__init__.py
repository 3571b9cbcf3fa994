"""Who may ask: bearer tokens and what they allow."""
