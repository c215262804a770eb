"""Whether the server of this agent can be reached and is ready: `python -m deployx_agent.update.probe ARGUMENTS…`.

It dials as the agent does, with the same settings, and asks `/readyz`. Exit code 0 means that an agent that does not
register has itself to blame; anything else, that nobody can tell.
"""

import http.client
import ssl
import sys
from urllib.parse import urlsplit

from deployx_agent import cli, config, enrollment, logs
from deployx_agent.exits import Exit

_TIMEOUT_S = 10.0


def is_ready(arguments: list[str]) -> bool:
    """Ask it."""
    settings = config.load(cli.options(arguments))
    recorded = enrollment.read(settings.state_dir, logs.set_up("ERROR")).server
    address = urlsplit(config.resolve_server(settings, recorded=recorded, pending_token="", has_key=True))
    host = address.hostname or ""
    connection = http.client.HTTPConnection(host, address.port, timeout=_TIMEOUT_S)
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=settings.ca_file)
        connection = http.client.HTTPSConnection(host, address.port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    finally:
        connection.close()


def main() -> int:
    """The exit code."""
    try:
        return 0 if is_ready(sys.argv[1:]) else 1
    except (OSError, http.client.HTTPException, Exit):
        return 1


if __name__ == "__main__":
    sys.exit(main())
