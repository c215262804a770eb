"""The agent: keeps one machine connected to its server.

Imports nothing, so that ``deployx-agent status`` and a refused configuration cost no more than they need.
"""

VERSION = "0.1.0"
