"""What is installed on this machine: read by a child that ends, told to the server when it changed.

Only ``reporter`` is ever loaded by the agent itself.
"""
