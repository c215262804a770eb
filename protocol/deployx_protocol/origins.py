"""Server origins, written one way only: ``scheme://host[:port]``, lower case, without a default port."""

from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def normalise(url: str) -> str:
    """The origin of ``url``. Raises ValueError with a sentence when there is none."""
    parts = urlsplit(url.strip())
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"The port in {url!r} is not a number between 0 and 65535.") from None
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is not a server address; it should look like https://deployx.example.com.")
    if parts.username or parts.password:
        raise ValueError("A server address must not contain a user name or password.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS[scheme] else "")


def is_loopback(origin: str) -> bool:
    """Whether ``origin`` (normalised) names this machine."""
    parts = urlsplit(origin)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return host in LOOPBACK_HOSTS
