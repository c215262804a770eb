"""The wire between agents, server and dashboards. No I/O: both ends import it, so neither can drift from the other."""

PROTOCOL_VERSION = 1
"""What an agent sends as ``protocol``; a client that knows only the five seed fields counts as 0."""
