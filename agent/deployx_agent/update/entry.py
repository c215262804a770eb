"""How the launcher starts a version of the agent: what every version has to keep, whatever else changes.

The launcher is the base's, so it may be older or younger than what it starts. Its side of this is in ``here``; the
other thing that two versions share is the record (``record``).
"""

import sys

from deployx_agent.update.here import Start


def alone() -> int:
    """Run as this process, with the arguments of ``deployx-agent``; the exit code."""
    from deployx_agent.cli import main

    return main(sys.argv[1:], Start.ALONE)


def watched() -> int:
    """The same as a child of the watchdog, which starts what follows when this ends."""
    from deployx_agent.cli import main

    return main(sys.argv[1:], Start.WATCHED)


def check() -> int:
    """Load all that a start loads, and print the version: what cannot do this is never tried."""
    from importlib import import_module

    from deployx_agent import VERSION

    for name in ("agent", "cli", "connection.keeper", "connection.socketio_transport", "identity", "releases.handling"):
        import_module(f"deployx_agent.{name}")
    for name in ("update.flow", "update.prepare", "update.trust", "update.watchdog", "update.probe"):
        import_module(f"deployx_agent.{name}")
    sys.stdout.write(f"{VERSION}\n")
    return 0
