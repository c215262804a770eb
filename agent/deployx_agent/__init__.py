"""The agent: keeps one machine connected to its server."""
