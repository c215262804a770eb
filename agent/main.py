"""The entry that the specification names: ``python agent/main.py`` runs the agent.

The four settings stand in ``deployx_agent.config``, which is part of the installed package; here they are only named.
"""

import sys

from deployx_agent.cli import main
from deployx_agent.config import HEARTBEAT_INTERVAL, RECONNECT_ATTEMPTS, RECONNECT_DELAY, SERVER_URL

__all__ = ["HEARTBEAT_INTERVAL", "RECONNECT_ATTEMPTS", "RECONNECT_DELAY", "SERVER_URL", "main"]

if __name__ == "__main__":
    sys.exit(main())
