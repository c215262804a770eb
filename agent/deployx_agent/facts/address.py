"""The ``ip_address`` of a registration: the address of this machine from which the server is reached."""

import ipaddress
from typing import Any

UNKNOWN = "0.0.0.0"  # noqa: S104  # nosec B104


def plain(sockname: Any) -> str:
    """The IP address in what ``getsockname()`` gave: without scope, IPv4 as such, UNKNOWN when there is none."""
    try:
        found = ipaddress.ip_address(str(sockname[0]).partition("%")[0])
    except (ValueError, TypeError, IndexError):
        return UNKNOWN
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
