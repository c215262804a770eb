"""The set-up of a checkout. Standard library only: it runs before anything of ours, or of anyone else's, is there."""
