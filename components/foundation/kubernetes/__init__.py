"""A small typed layer over the Kubernetes API: whole objects, one field manager."""
