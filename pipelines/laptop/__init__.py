"""What a laptop needs that a cluster has: an object store, a runner, serving."""
