"""The server's address: written one way, and never plain http across a network unless asked for."""

import ipaddress
from urllib.parse import urlsplit

from deployx_cli.errors import WrongUsage

DEFAULT_URL = "http://127.0.0.1:8000"


def normalise(url: str) -> str:
    """`scheme://host[:port]` of what people type. Raises WrongUsage."""
    text = url.strip()
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        port = parts.port
    except ValueError:
        raise WrongUsage(f"The port in {url!r} is not a number between 0 and 65535.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongUsage(f"{url!r} is not a server address; it should look like https://deployx.example.com.")
    if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise WrongUsage(f"{url!r} has more than scheme, host and port; https://deployx.example.com is enough.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, default) else "")


def is_loopback(url: str) -> bool:
    """Whether this address is this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_transport(url: str, *, insecure_http: bool) -> None:
    """Raises WrongUsage where a password or token would travel in the clear."""
    if url.startswith("http://") and not is_loopback(url) and not insecure_http:
        raise WrongUsage(
            f"{url} is not encrypted: anyone on the way could read your token. "
            "Use https, or pass --insecure-http if you accept that."
        )
