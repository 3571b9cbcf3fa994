"""What keeps one row a prediction (protocol 4.7), without ever holding a prediction up."""
