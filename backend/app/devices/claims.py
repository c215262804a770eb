"""Answers to claims: who an identity in conflict belongs to.

| kind | answers |
|---|---|
| reinstalled | accept (a device of its own, or the history of the old one), reject |
| moved, cloned | moved (it is one machine after all), split (the copy becomes a device of its own) |
"""

from enum import StrEnum

import sqlalchemy as sa

from app.accounts.principal import Principal
from app.audit.actions import Action
from app.clock import Clock, utcnow
from app.devices import identity, repository
from app.devices.models import Claim, Device
from app.devices.outcomes import DESCRIBED
from app.devices.service import DeviceService
from app.errors import IllegalTransition, NotFound
from app.groups.scopes import scope_of
from app.hints import HintKind
from app.uow import Unit, UnitOfWork
from deployx_protocol import limits
from deployx_protocol.messages import DeviceView
from deployx_protocol.signing import key_hash
from deployx_protocol.states import ClaimKind, DeviceStatus, Trust


class Answer(StrEnum):
    """What people can say to a claim."""

    ACCEPT = "accept"
    REJECT = "reject"
    MOVED = "moved"
    SPLIT = "split"


ANSWERS: dict[ClaimKind, frozenset[Answer]] = {
    ClaimKind.REINSTALLED: frozenset({Answer.ACCEPT, Answer.REJECT}),
    ClaimKind.MOVED: frozenset({Answer.MOVED, Answer.SPLIT}),
    ClaimKind.CLONED: frozenset({Answer.MOVED, Answer.SPLIT}),
}


class ClaimService:
    """Answers claims about devices that a principal may see."""

    def __init__(self, uow: UnitOfWork, devices: DeviceService, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._devices = devices
        self._clock = clock

    async def answer(
        self, principal: Principal, claim_id: int, answer: Answer, *, merge_history: bool = False
    ) -> DeviceView | None:
        """Settle a claim. The device it was settled for, None after a rejection. Raises NotFound, IllegalTransition."""
        async with self._uow.begin() as unit:
            claim, device = await self._open(unit, principal, claim_id, answer)
            settled: Device | None = device
            if answer is Answer.ACCEPT:
                settled = await self._accept(unit, principal, claim, device, merge_history=merge_history)
            elif answer is Answer.REJECT:
                settled = None
                await self._reject(unit, principal, claim)
            else:
                await self._release(unit, claim, device, split=answer is Answer.SPLIT)
            claim.resolved_at, claim.resolved_by = self._clock(), principal.user_id
            await unit.session.flush()
            unit.record(
                principal.actor,
                Action.CLAIM_ANSWERED,
                claim.id,
                claim.hostname,
                kind=claim.kind,
                answer=answer.value,
                device_id=device.id,
                settled_for=settled.id if settled else None,
                merge_history=merge_history,
            )
            for changed in {device.id, settled.id if settled else device.id}:
                unit.hint(HintKind.DEVICE_ROW, changed)
            unit.hint(HintKind.CLAIMS, device.id)
            unit.hint(HintKind.CLAIM_ANSWERED, device.id)
        return await self._devices.get(principal, settled.id) if settled else None

    async def _open(self, unit: Unit, principal: Principal, claim_id: int, answer: Answer) -> tuple[Claim, Device]:
        found = await repository.claim(unit.session, await scope_of(unit.session, principal), claim_id)
        if found is None:
            raise NotFound("There is no such claim.")
        claim, device = found
        if claim.state != "open":
            raise IllegalTransition("This claim was answered already.")
        allowed = ANSWERS[ClaimKind(claim.kind)]
        if answer not in allowed:
            raise IllegalTransition(f"A {claim.kind} device is answered with {' or '.join(sorted(allowed))}.")
        if answer is Answer.ACCEPT and claim.public_key is None:
            raise IllegalTransition("A client without a key can only be rejected; give it ids of its own.")
        return claim, device

    async def _accept(
        self, unit: Unit, principal: Principal, claim: Claim, device: Device, *, merge_history: bool
    ) -> Device:
        claim.state = "accepted"
        if merge_history:
            await self._devices.refuse_key(unit, principal, device.public_key, f"replaced by claim {claim.id}")
            _give_key(device, claim)
            return device
        own = Device(
            agent_id=claim.agent_id,
            machine_id=claim.machine_id,
            device_name=claim.hostname,
            **{name: getattr(claim, name) for name in DESCRIBED},
            status=DeviceStatus.OFFLINE,
            status_detail="not connected yet",
            created_at=self._clock(),
            user_id=claim.user_id or principal.user_id,
            enrollment_token_id=claim.enrollment_token_id,
            tags={},
            session_epoch=0,
            rev=1,
        )
        _give_key(own, claim)
        taken = key_hash(claim.public_key or "")[:8]
        session = unit.session
        if await session.scalar(sa.select(Device.id).where(Device.agent_id == claim.agent_id)):
            own.agent_id = identity.free_name(claim.agent_id, taken, limits.AGENT_ID_MAX)
        if await session.scalar(sa.select(Device.id).where(Device.machine_id == claim.machine_id)):
            own.machine_id = identity.free_name(claim.machine_id, taken, limits.MACHINE_ID_MAX)
        unit.session.add(own)
        await unit.session.flush()
        return own

    async def _reject(self, unit: Unit, principal: Principal, claim: Claim) -> None:
        claim.state = "rejected"
        await self._devices.refuse_key(unit, principal, claim.public_key, f"claim {claim.id} was rejected")

    async def _release(self, unit: Unit, claim: Claim, device: Device, *, split: bool) -> None:
        """The device may work again, as before; a copy is told, now or when it returns, to become another device.

        It stays in quarantine while another claim about it is open.
        """
        claim.state = "splitting" if split else "moved"
        if not split:
            device.fingerprint = claim.fingerprint
            device.generation_forks = []
        device.rev += 1
        others = sa.select(Claim.id).where(
            Claim.device_id == device.id,
            Claim.state == "open",
            Claim.kind != ClaimKind.REINSTALLED,
            Claim.id != claim.id,
        )
        if await unit.session.scalar(others.limit(1)) is None:
            device.trust, device.trust_reason = claim.trust_before or Trust.PENDING, ""


def _give_key(device: Device, claim: Claim) -> None:
    device.public_key = claim.public_key
    device.trust, device.trust_reason = Trust.TRUSTED, ""
    device.fingerprint = claim.fingerprint
    device.generation = device.generation_issued = 0
    device.generation_forks = []
    device.rev += 1
