"""The worked example: late arrivals of flights from New York."""
