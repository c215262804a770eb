"""The list of devices, in an order that is made here.

Invariant: every device is there once. What people sort by changes while the pages are read, and moves a device past the
page that is being read; so they are read in the order of `created_at`, which never changes.
"""

from typing import Any

from deployx_cli.api import Api
from deployx_cli.errors import WrongUsage

_STEADY = "created_at"
_FIELDS = {
    "name": "device_name",
    "status": "status",
    "hostname": "hostname",
    "platform": "platform",
    "last_seen": "last_seen",
    "created_at": "created_at",
}


def listed(api: Api, filters: dict[str, str], sort: str) -> list[dict[str, Any]]:
    """All devices that match, by ``sort``: a name of the list, with ``-`` before it from the end. Raises WrongUsage."""
    field = _FIELDS.get(sort.removeprefix("-"))
    if field is None:
        raise WrongUsage(f"Devices cannot be sorted by {sort!r}; use one of {', '.join(_FIELDS)}, with - to reverse.")
    found = list(api.pages("/devices", {**filters, "sort": _STEADY}))
    return sorted(found, key=lambda one: str(one.get(field) or "").casefold(), reverse=sort.startswith("-"))
