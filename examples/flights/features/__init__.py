"""What is known about a flight from elsewhere: a Feast repository over the curated tables."""
