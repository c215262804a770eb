"""``python -m deployx_agent``: what the service definitions start, because it needs no script on a path."""

import sys

from deployx_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
