"""Watch what endpoints do."""
