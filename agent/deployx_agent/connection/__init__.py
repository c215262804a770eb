"""The link to the server: its states, when to try again, one connection, and what keeps it alive."""
