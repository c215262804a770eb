"""The state folder: who may use it, and how files in it survive a power cut."""
