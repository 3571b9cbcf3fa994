"""Load the newest features into the online store, and read them back."""
