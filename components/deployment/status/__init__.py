"""How a model stands: what serves, what is on trial, what is really routed."""
