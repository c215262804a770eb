"""How this agent is replaced by another version of itself, and comes back if that one does not register."""
