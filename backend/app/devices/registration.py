"""Registrations, a batch at a time: load every row the batch touches, judge one after another, write once.

Invariant: a batch is one transaction, and later registrations of a batch see what earlier ones did, because they share
the loaded rows. A connection hears of its registration only after the commit.
"""

from collections.abc import Callable, Collection, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import structlog

from app.accounts.hashing import secret_hash
from app.audit.actions import Action, Actor
from app.clock import Clock, utcnow
from app.complaints import Complaints
from app.devices import conflicts, identity
from app.devices.identity import Lineage, Verdict
from app.devices.models import Claim, Device, EnrollmentToken
from app.devices.outcomes import TOLD, Contested, Held, Outcome, Refused, Registered, Registration
from app.devices.rows import Rows
from app.hints import HintKind
from app.tasks.forgetting import forget_many
from app.uow import UnitOfWork
from deployx_protocol import tokens
from deployx_protocol.codes import Code
from deployx_protocol.messages import AgentRegister
from deployx_protocol.states import DeviceStatus, StatusCause, Trust

log = structlog.get_logger()
NO_ROOM_RETRY_S = 60.0
_FOLLOWS = {
    **{name: name for name in TOLD},
    "protocol": "protocol",
    "agent_tags": "tags",
    "policy": "policy",
    "journal_id": "journal_id",
    "journal_high_water": "journal_high_water",
}
"""Column of a device → what of the message it has."""
_row_says = itemgetter(*_FOLLOWS)
_machine_says = attrgetter(*_FOLLOWS.values())


class RegistrationService:
    """Turns registrations into devices, claims and refusals.

    ``approval`` is the enrolment policy (else: tokens); under it ``pending_max`` devices may wait to be accepted.
    """

    def __init__(
        self,
        uow: UnitOfWork,
        *,
        node_id: str,
        approval: bool,
        pending_max: int,
        live_nodes: Callable[[], Collection[str]] = lambda: (),
        clock: Clock = utcnow,
    ) -> None:
        self._uow = uow
        self._node_id = node_id
        self._live_nodes = live_nodes
        self._approval = approval
        self._pending_max = pending_max
        self._clock = clock
        self._complaints = Complaints("device.turned_away")

    async def register_many(self, registrations: Sequence[Registration]) -> list[Outcome]:
        """The outcome of each, committed. Raises Unavailable when the database is away; then nothing was written."""
        messages = [registration.message for registration in registrations]
        async with self._uow.begin() as unit:
            rows = await Rows.load(unit, messages, self._node_id, self._clock())
            rows.live_nodes = self._live_nodes()
            outcomes = [await self._register(rows, registration) for registration in registrations]
            await rows.write()
            await forget_many(unit, rows.forgotten, rows.now)
        return outcomes

    async def _register(self, rows: Rows, registration: Registration) -> Outcome:
        message = registration.message
        known = rows.by_key.get(message.public_key) if message.keyed else None
        if known:
            return await _known_key(rows, registration, known)
        token = _usable_token(rows, message)
        refusal = None if token else self._refusal(rows, message)
        if refusal:
            return refusal
        namesakes = [rows.by_machine.get(message.machine_id), rows.by_agent.get(message.agent_id)]
        holder = next((device for device in namesakes if device and device.public_key), None)
        if holder:
            return await conflicts.foreign_ids(rows, registration, holder, token)
        row = next(filter(None, namesakes), None)
        if row is None and token is None and not await rows.room_to_wait(self._pending_max):
            self._complaints.note(registration.source_ip, f"{self._pending_max} devices wait to be accepted already")
            return Refused(
                Code.SERVER_BUSY,
                "Too many machines wait here to be accepted. Accept or reject them in the dashboard under "
                "“Needs attention”, or enrol this machine with a token.",
                NO_ROOM_RETRY_S,
            )
        return await _admit(rows, registration, row, token)

    def _refusal(self, rows: Rows, message: AgentRegister) -> Refused | None:
        """Why someone without a usable token stays outside; None if the policy lets them in."""
        if message.keyed and any(claim.public_key == message.public_key for claim in rows.claims):
            return None  # they were let in when the claim was made, which spent their token
        if message.enrollment_token:
            return Refused(
                Code.INVALID_CREDENTIALS,
                "This enrolment token is unknown, used up, expired, revoked or made for another address. "
                "Make a new one in the dashboard under “Add device”.",
            )
        if message.public_key in rows.refused:
            return Refused(Code.REJECTED, "This device was rejected. To admit it after all, enrol it with a new token.")
        if not self._approval:
            return Refused(
                Code.INVALID_CREDENTIALS,
                "This server admits agents by enrolment token only. Make one in the dashboard under “Add device”.",
            )
        return None


def _usable_token(rows: Rows, message: AgentRegister) -> EnrollmentToken | None:
    token = rows.tokens.get(message.enrollment_token) if message.keyed else None
    if token is None or token.origin != message.origin or token.revoked_at or token.expires_at <= rows.now:
        return None
    return token if token.uses < token.max_uses else None


async def _known_key(rows: Rows, registration: Registration, device: Device) -> Outcome:
    message = registration.message
    live_boot = rows.boots.get(device.id) or registration.live_boot(device.id)
    elsewhere = live_boot is None and _is_elsewhere(rows, device)
    if elsewhere:
        live_boot = device.boot_id
    splitting = _splitting(rows, device)
    judgement = identity.judge(
        device,
        message,
        live_boot=live_boot,
        alive=registration.rival_is_alive,
        is_there=registration.is_there,
        splitting=splitting,
    )
    if judgement.lineage is not Lineage.CURRENT and judgement.verdict is not Verdict.CONTEST:
        log.warning(
            "device.lineage_changed",
            agent_id=device.agent_id,
            lineage=judgement.lineage.value,
            presented=message.generation,
            issued=device.generation_issued,
            source_ip=registration.source_ip,
        )
    match judgement.verdict:
        case Verdict.CONTEST:
            rival = elsewhere and live_boot != message.boot_id
            return Contested(device.id, device.session_epoch if rival else 0)
        case Verdict.SPLIT if splitting:
            return conflicts.split(rows, registration, device, splitting)
        case Verdict.QUARANTINE:
            claim = await conflicts.quarantine(rows, registration, device, judgement, live_boot)
            if live_boot is not None and live_boot != message.boot_id:
                claim.node_id = rows.node_id
                return Held(claim.id, device.id, device.agent_id, Trust.QUARANTINED, message.generation)
        case _:
            await rows.follow_names(device, message)
            _change(device, "fingerprint", message.fingerprint)
    lost = identity.lost_memory(device, message, judgement.lineage)
    if lost:
        rows.forgotten[device.id] = lost
    return _online(rows, registration, device)


def _is_elsewhere(rows: Rows, device: Device) -> bool:
    """Whether another node has a connection of the device, as far as the rows tell."""
    elsewhere = device.node_id != rows.node_id and device.node_id in rows.live_nodes
    return elsewhere and device.status == DeviceStatus.ONLINE


def _splitting(rows: Rows, device: Device) -> Claim | None:
    return next((c for c in rows.claims if c.device_id == device.id and c.state == "splitting"), None)


async def _admit(rows: Rows, registration: Registration, row: Device | None, token: EnrollmentToken | None) -> Outcome:
    """A new device, or an unverified row: kept by its client, or taken over by a key that names it."""
    message = registration.message
    namesake = rows.by_agent.get(message.agent_id)
    if namesake is not None and namesake is not row:
        await rows.give_way(namesake)
    is_new, was_keyed = row is None, row is not None and bool(row.public_key)
    if row is None:
        row = _new_device(rows, registration)
    if message.keyed:
        row.public_key = message.public_key
        row.trust = Trust.TRUSTED if token else Trust.PENDING
        row.fingerprint = message.fingerprint
    if token:
        token.uses += 1
        row.user_id, row.enrollment_token_id = token.user_id, token.id
        refused = rows.refused.pop(message.public_key, None)
        if refused:
            await rows.unit.session.delete(refused)
    rows.rename(row, machine_id=message.machine_id, agent_id=message.agent_id)
    await rows.unit.session.flush()
    if is_new or bool(row.public_key) != was_keyed:
        rows.unit.record(
            Actor.agent(row.id, row.agent_id, registration.source_ip),
            Action.DEVICE_ENROLLED,
            row.id,
            row.device_name,
            trust=row.trust,
            enrollment_token_id=token.id if token else None,
        )
    return _online(rows, registration, row)


def _new_device(rows: Rows, registration: Registration) -> Device:
    message = registration.message
    device = Device(
        agent_id=message.agent_id,
        machine_id=message.machine_id,
        device_name=message.hostname,
        **registration.described(),
        status=DeviceStatus.OFFLINE,
        trust=Trust.UNVERIFIED,
        created_at=rows.now,
        session_epoch=0,
        generation=0,
        generation_issued=0,
        generation_forks=[],
        fingerprint={},
        tags={},
        rev=0,
    )
    rows.unit.session.add(device)
    return device


def _online(rows: Rows, registration: Registration, device: Device) -> Registered:
    """This connection is the device's session from now on; an earlier one's writes no longer match its epoch."""
    message = registration.message
    _follow(device, message)
    _change(device, "source_ip", registration.source_ip)
    if device.status == DeviceStatus.ONLINE and device.node_id != rows.node_id:
        rows.unit.hint(HintKind.SESSION_MOVED, device.id)
    session = {
        "boot_id": message.boot_id,
        "node_id": rows.node_id,
        "last_seen": rows.now,
        "session_epoch": device.session_epoch + 1,
        "rev": device.rev + 1,
    }
    generation, http_token = 0, ""
    if message.keyed:
        http_token = tokens.new_secret()
        generation, forks = identity.next_generation(device, message.generation)
        _change(device, "generation_forks", forks)
        session["http_token_hash"] = secret_hash(http_token)
        session["generation"], session["generation_issued"] = message.generation, generation
        rows.boots[device.id] = message.boot_id
    came_online = device.status != DeviceStatus.ONLINE
    event = None
    if came_online:
        came = (DeviceStatus.ONLINE.value, StatusCause.REGISTERED.value, f"registered from {registration.source_ip}")
        session["status"], session["status_cause"], session["status_detail"] = came
        session["status_since"] = rows.now
        event = (device.id, *came, registration.source_ip, rows.now)
    rows.arrive(device, session, event)
    rows.unit.hint(HintKind.DEVICE_ROW, device.id)
    rows.unit.hint(HintKind.DEVICE_STATUS, device.id)  # every registration is broadcast, also one that changes nothing
    return Registered(
        device_id=device.id,
        agent_id=device.agent_id,
        hostname=device.hostname,
        trust=Trust(device.trust),
        generation=generation,
        epoch=device.session_epoch,
        came_online=came_online,
        http_token=http_token,
    )


def _follow(device: Device, message: AgentRegister) -> None:
    """The row has what the machine says. It often says what it said before, and to change nothing costs something."""
    told = _machine_says(message)
    if told == _row_says(vars(device)):
        return
    if device.device_name == device.hostname:
        _change(device, "device_name", message.hostname)  # nobody renamed it, so it follows the machine
    for column, value in zip(_FOLLOWS, told, strict=True):
        _change(device, column, value)


def _change(device: Device, column: str, value: Any) -> None:
    if getattr(device, column) != value:
        setattr(device, column, value)
