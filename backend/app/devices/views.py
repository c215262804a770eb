"""Rows as people and dashboards see them."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from app.clock import iso, iso_or_none
from app.devices.models import Claim, Device
from deployx_protocol.messages import ClaimView, DeviceView
from deployx_protocol.states import ClaimKind, DeviceStatus, Presence, StatusCause, Trust

_PRESENCES = {one.value: one for one in Presence}
_CAUSES = {one.value: one for one in StatusCause}
"""To call an enumeration costs ten times as much."""


def presence(status: str, node_id: str | None, live_nodes: Collection[str]) -> Presence:
    """What to call a device's status: unknown while its row is held by a server that is gone."""
    if status == DeviceStatus.ONLINE and node_id not in live_nodes:
        return Presence.UNKNOWN
    return _PRESENCES[status]


def cause(status_cause: str | None) -> StatusCause | None:
    """Why a device has its status, if that is known."""
    return _CAUSES[status_cause] if status_cause else None


def device_view(
    device: Device | sa.Row[*tuple[Any, ...]], owner: str | None, live_nodes: Collection[str]
) -> DeviceView:
    """A device in full, from its object or its columns. ``owner`` is the e-mail address of the user it belongs to."""
    return DeviceView(
        id=device.id,
        agent_id=device.agent_id,
        device_name=device.device_name,
        hostname=device.hostname,
        platform=device.platform,
        ip_address=device.ip_address,
        source_ip=device.source_ip,
        machine_id=device.machine_id,
        status=presence(device.status, device.node_id, live_nodes),
        status_cause=cause(device.status_cause),
        status_detail=device.status_detail,
        status_since=iso_or_none(device.status_since),
        last_seen=iso_or_none(device.last_seen),
        trust=Trust(device.trust),
        trust_reason=device.trust_reason,
        keyed=device.public_key is not None,
        agent_version=device.agent_version,
        facts=device.facts,
        tags=device.tags,
        agent_tags=device.agent_tags,
        user_id=device.user_id,
        owner=owner,
        created_at=iso(device.created_at),
        rev=device.rev,
    )


def claim_view(claim: Claim, device: Device, *, connected: bool) -> ClaimView:
    """A claim about ``device``; ``connected``: whoever made it waits for the answer."""
    return ClaimView(
        id=claim.id,
        kind=ClaimKind(claim.kind),
        device_id=device.id,
        device_name=device.device_name,
        agent_id=claim.agent_id,
        hostname=claim.hostname,
        platform=claim.platform,
        ip_address=claim.ip_address,
        source_ip=claim.source_ip,
        machine_id=claim.machine_id,
        keyed=claim.public_key is not None,
        connected=connected,
        detail=claim.detail,
        created_at=iso(claim.created_at),
        last_seen=iso(claim.last_seen),
    )
