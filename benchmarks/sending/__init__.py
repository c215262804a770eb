"""What `artifacts.py` measures with: clients that cost next to nothing, and the servers that they read from."""
