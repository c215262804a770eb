"""What the agent knows about its machine: one small file for each group of facts.

Each function takes ``root``, the machine's file system (``/``, or where a container has its host's mounted), and never
raises: a fact that cannot be read is absent. On Linux nothing here starts a process.
"""
