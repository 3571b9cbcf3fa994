"""More rights for one person for a few hours: what tells that they are over."""
