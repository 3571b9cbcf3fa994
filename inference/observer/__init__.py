"""What keeps one row a prediction, without ever holding a prediction up."""
