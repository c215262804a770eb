"""Releases: what their makers wrote and signed, kept as it came, and given to the devices that are to have it."""
