"""Who may do what by a set of manifests, and how somebody could come to do more."""
