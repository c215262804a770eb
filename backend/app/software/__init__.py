"""What is installed on devices, and which devices have it."""
