"""Devices: who they are, whether they are there, whose they are."""
