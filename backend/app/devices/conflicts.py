"""Identities in conflict: claims are made here while registrations are judged; ``claims.py`` answers them."""

from datetime import timedelta
from uuid import uuid4

import structlog

from app.accounts.hashing import secret_hash
from app.audit.actions import Action, Actor
from app.devices.identity import Judgement
from app.devices.models import Claim, Device, EnrollmentToken
from app.devices.outcomes import Held, Refused, Registration, Split
from app.devices.rows import Rows
from app.hints import HintKind
from deployx_protocol import tokens
from deployx_protocol.codes import Code
from deployx_protocol.states import ClaimKind, Trust

log = structlog.get_logger()
SPLIT_TOKEN_LIFETIME = timedelta(hours=1)
CLAIMS_MAX = 20
"""Open claims about one device: keys cost nothing, so without this an impostor could fill the table and the page."""


async def quarantine(
    rows: Rows, registration: Registration, device: Device, judgement: Judgement, live_boot: str | None
) -> Claim:
    """Take ``device`` out of work until someone answers the claim, which is returned."""
    kind = judgement.kind or ClaimKind.CLONED
    claim = _repeated(rows, registration, device, kind)
    if claim is None:
        claim = _new_claim(rows, registration, device, kind, judgement.detail)
        claim.holder_boot_id = live_boot or device.boot_id
        claim.trust_before = _trust_before(rows, device)
    if device.trust != Trust.QUARANTINED:
        device.trust, device.trust_reason = Trust.QUARANTINED, judgement.detail
        device.rev += 1
        rows.unit.hint(HintKind.REGISTER_AGAIN, device.id)
        rows.unit.record(
            Actor.agent(device.id, registration.message.agent_id, registration.source_ip),
            Action.DEVICE_QUARANTINED,
            device.id,
            device.device_name,
            kind=kind.value,
            detail=judgement.detail,
        )
        log.warning(
            "device.quarantined",
            agent_id=device.agent_id,
            kind=kind.value,
            detail=judgement.detail,
            source_ip=registration.source_ip,
        )
    await rows.unit.session.flush()
    rows.unit.hint(HintKind.DEVICE_ROW, device.id)
    rows.unit.hint(HintKind.CLAIMS, device.id)
    return claim


def _trust_before(rows: Rows, device: Device) -> str:
    earlier = (claim.trust_before for claim in rows.claims if claim.device_id == device.id and claim.trust_before)
    return next(earlier, device.trust)


async def foreign_ids(
    rows: Rows, registration: Registration, holder: Device, token: EnrollmentToken | None
) -> Held | Refused:
    """Someone without ``holder``'s key goes by its ids: the row stays as it is, a claim is shown."""
    message = registration.message
    claim = _repeated(rows, registration, holder, ClaimKind.REINSTALLED)
    if claim is None and not token and sum(c.device_id == holder.id for c in rows.claims) >= CLAIMS_MAX:
        return Refused(
            Code.IDENTITY_CONFLICT,
            "Too many others already go by this machine_id or agent_id. Answer those claims in the dashboard under "
            "“Needs attention”, or enrol this machine with a token.",
        )
    if claim is None:
        detail = "An unknown key goes by this device's machine or agent id: it was reinstalled, or it is an impostor."
        if not message.keyed:
            detail = "A client without a key goes by this device's machine or agent id."
        claim = _new_claim(rows, registration, holder, ClaimKind.REINSTALLED, detail)
        if token:
            token.uses += 1
            claim.user_id, claim.enrollment_token_id = token.user_id, token.id
        rows.unit.record(
            Actor.agent(None, message.agent_id, registration.source_ip),
            Action.DEVICE_CLAIMED,
            holder.id,
            holder.device_name,
            keyed=message.keyed,
            enrollment_token_id=token.id if token else None,
        )
        log.warning(
            "device.claimed",
            agent_id=holder.agent_id,
            claimant=message.agent_id,
            keyed=message.keyed,
            source_ip=registration.source_ip,
        )
    await rows.unit.session.flush()
    rows.unit.hint(HintKind.CLAIMS, holder.id)
    if message.keyed:
        claim.node_id = rows.node_id
        return Held(claim.id, holder.id, message.agent_id, Trust.PENDING, message.generation)
    return Refused(
        Code.IDENTITY_CONFLICT,
        "Another device, which has a key, goes by this machine_id or agent_id. Give this client ids of its own; "
        "the dashboard shows the conflict under “Needs attention”.",
    )


def split(rows: Rows, registration: Registration, device: Device, claim: Claim) -> Split:
    """A token with which the copy enrols as a device of its own, for the owner of the one it was copied from."""
    owner = device.user_id or claim.resolved_by
    if owner is None:
        raise ValueError(f"claim {claim.id} was answered by nobody")
    token = tokens.new_enrollment_token(registration.message.origin)
    rows.unit.session.add(
        EnrollmentToken(
            id=str(uuid4()),
            name=f"Split from {device.device_name}",
            token_hash=secret_hash(token),
            origin=registration.message.origin,
            user_id=owner,
            max_uses=1,
            uses=0,
            created_at=rows.now,
            expires_at=rows.now + SPLIT_TOKEN_LIFETIME,
        )
    )
    claim.state = "split"
    rows.unit.record(
        Actor.agent(device.id, device.agent_id, registration.source_ip),
        Action.DEVICE_SPLIT,
        device.id,
        device.device_name,
        claim_id=claim.id,
    )
    rows.claims.remove(claim)
    log.info("device.split", agent_id=device.agent_id, claim_id=claim.id, source_ip=registration.source_ip)
    return Split(token)


def _repeated(rows: Rows, registration: Registration, device: Device, kind: ClaimKind) -> Claim | None:
    """The open claim that this registration makes again, brought up to date; None if it is the first of its kind."""
    message = registration.message
    for claim in rows.claims:
        if claim.device_id != device.id or claim.kind != kind or claim.state != "open":
            continue
        if claim.public_key != (message.public_key or None):
            continue
        if claim.boot_id != message.boot_id:
            elsewhere = claim.node_id != rows.node_id and claim.node_id in rows.live_nodes
            if elsewhere or registration.claim_connected(claim.id):
                continue  # that claim is another copy's, which is connected as well
            if message.boot_id != claim.holder_boot_id:
                claim.boot_id = message.boot_id
        claim.source_ip, claim.last_seen = registration.source_ip, rows.now
        return claim
    return None


def _new_claim(rows: Rows, registration: Registration, device: Device, kind: ClaimKind, detail: str) -> Claim:
    message = registration.message
    claim = Claim(
        kind=kind,
        state="open",
        device_id=device.id,
        public_key=message.public_key or None,
        boot_id=message.boot_id,
        holder_boot_id="",
        trust_before="",
        agent_id=message.agent_id,
        machine_id=message.machine_id,
        **registration.described(),
        fingerprint=message.fingerprint,
        detail=detail,
        created_at=rows.now,
        last_seen=rows.now,
    )
    rows.unit.session.add(claim)
    rows.claims.append(claim)
    return claim
