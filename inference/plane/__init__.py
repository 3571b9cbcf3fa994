"""The plane: the part of Kubernetes and KServe that deployment uses, on one machine."""
