"""Rules of residency on Kubernetes objects: written once, judged here and by the API server."""
