"""Who gets which share of a model's requests, behind one interface."""
