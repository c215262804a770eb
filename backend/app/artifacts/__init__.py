"""Artifacts: the files that releases bring along, taken in pieces, stored by their hash, handed out in ranges."""
