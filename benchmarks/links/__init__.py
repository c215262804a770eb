"""What `link.py` is made of: the servers that are compared, and the agents that all of them are given."""
