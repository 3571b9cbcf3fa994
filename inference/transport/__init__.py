"""HTTP/1.1 beneath the server, the router and the transformer."""
