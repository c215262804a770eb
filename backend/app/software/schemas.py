"""What the routes about software answer."""

from app.accounts.schemas import Timestamp
from app.tasks.schemas import Described
from deployx_protocol.software import Source


class SoftwareItem(Described):
    """One version of a package, and on how many of your devices it is."""

    name: str
    version: str
    arch: str
    source: Source
    devices: int


class SoftwarePage(Described):
    """Packages by name; the last page's cursor is null."""

    items: list[SoftwareItem]
    devices: int
    """How many of your devices have any that match, on this page or another."""
    reporting: int
    """How many of your devices have reported their software at all. Of the others nothing is known."""
    total: int
    """How many devices you see."""
    next_cursor: str | None


class DeviceWithSoftware(Described):
    """A device that has what was looked for."""

    device_id: int
    device_name: str
    found: list[str]
    """Name and version of each that matches, with the architecture where it has one."""
    confirmed_at: Timestamp
    """When its agent last said that this holds."""


class DeviceWithSoftwarePage(Described):
    """Devices by name; the last page's cursor is null."""

    items: list[DeviceWithSoftware]
    next_cursor: str | None


class PackageItem(Described):
    """A package on a device."""

    name: str
    version: str
    arch: str
    source: Source


class DeviceSoftwarePage(Described):
    """What is installed on a device, by name; the last page's cursor is null."""

    items: list[PackageItem]
    packages: int
    """How many there are in all."""
    sources: list[Source]
    """The package databases that its agent has read."""
    received_at: Timestamp | None
    """When this list came; null: the device has not reported any."""
    confirmed_at: Timestamp | None
    """When its agent last said that it still holds."""
    next_cursor: str | None
