"""Rows that tests put into the database themselves, where it does not matter how they came there."""

import secrets
from datetime import datetime
from typing import Any

from app.clock import utcnow
from app.devices.models import Claim, Device, StatusEvent
from deployx_protocol.states import ClaimKind, DeviceStatus, StatusCause, Trust


def device(number: int, **values: Any) -> Device:
    """A trusted device that is offline and has a key; ``values`` replace what stands here."""
    fields: dict[str, Any] = {
        "agent_id": f"agent-{number:05}",
        "device_name": f"device-{number:05}",
        "hostname": f"host-{number:05}",
        "platform": "Linux-6.1-x86_64",
        "ip_address": f"192.0.2.{number % 250 + 1}",
        "machine_id": f"machine-{number:05}",
        "status": DeviceStatus.OFFLINE,
        "status_cause": StatusCause.CONNECTION_CLOSED,
        "last_seen": utcnow(),
        "created_at": utcnow(),
        "source_ip": "198.51.100.1",
        "public_key": secrets.token_hex(32),
        "trust": Trust.TRUSTED,
    }
    return Device(**fields | values)


def claim(about: Device, **values: Any) -> Claim:
    """An open claim that another machine makes to be the device ``about``, which has its id already."""
    fields: dict[str, Any] = {
        "kind": ClaimKind.REINSTALLED,
        "state": "open",
        "device_id": about.id,
        "public_key": secrets.token_hex(32),
        "agent_id": about.agent_id,
        "machine_id": about.machine_id,
        "hostname": "claimant",
        "platform": about.platform,
        "ip_address": about.ip_address,
        "source_ip": "198.51.100.2",
        "created_at": utcnow(),
        "last_seen": utcnow(),
    }
    return Claim(**fields | values)


def status_event(about: Device, status: DeviceStatus, at: datetime, **values: Any) -> StatusEvent:
    """A change of presence of the device ``about``, which has its id already."""
    cause = StatusCause.CONNECTION_CLOSED if status is DeviceStatus.OFFLINE else StatusCause.REGISTERED
    fields: dict[str, Any] = {"device_id": about.id, "status": status, "cause": cause, "detail": "", "at": at}
    return StatusEvent(**{"source_ip": "198.51.100.1", **fields, **values})
