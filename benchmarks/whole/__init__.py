"""What `server.py` is made of: keyed agents and dashboards in one process, and what a whole server spends on them."""
