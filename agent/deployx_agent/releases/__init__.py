"""Releases on this machine: what they need is fetched, put in its place, looked at, and taken back if it has to be."""
