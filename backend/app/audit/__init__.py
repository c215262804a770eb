"""What was done, by whom, to what: an append-only record whose entries are chained by their hashes."""
