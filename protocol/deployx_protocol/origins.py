"""Server origins, written one way only: ``scheme://host[:port]``, lower case, without a default port."""

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[\w.-]+|\[[0-9a-f:.]+\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def normalise(url: str) -> str:
    """The origin of ``url``. Raises ValueError with a sentence when there is none."""
    nowhere = f"{url!r} is not a server address; it should look like https://deployx.example.com."
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # brackets that hold no IPv6 address
        raise ValueError(nowhere) from None
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"The port in {url!r} is not a number between 1 and 65535.")
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(nowhere)
    if parts.username is not None or parts.password is not None:
        raise ValueError("A server address must not contain a user name or password.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # urlsplit drops tabs and line breaks, so that what is dialled would not be what somebody read.
    if not _HOST.fullmatch(host) or any(character.isspace() for character in url.strip()):
        raise ValueError(nowhere)
    return f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS[scheme] else "")


def bare(url: str) -> str:
    """The origin that ``url`` is and nothing more, but for a last slash. Raises ValueError with a sentence."""
    origin = normalise(url)
    parts = urlsplit(url.strip())
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"The server address {url!r} must end after the host and port: everything is below its root.")
    return origin


def is_loopback(origin: str) -> bool:
    """Whether ``origin`` (normalised) names this machine."""
    parts = urlsplit(origin)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return host in LOOPBACK_HOSTS
