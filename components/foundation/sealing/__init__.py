"""Sealed releases: signed, encrypted, written once; and the channels that point at them."""
