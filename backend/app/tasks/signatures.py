"""Runs that operators have signed: what the server can check of them, and which devices will refuse what.

The server holds no key that could sign, and decides nothing here: each device looks for itself. What is checked before
a run starts, and said before anybody starts it, saves people from runs that come back refused.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.errors import InvalidInput
from app.tasks.schemas import SignedEnvelope
from app.tasks.targets import Target
from app.tasks.work import Work
from deployx_protocol import checks, signed_runs
from deployx_protocol.dsse import Envelope
from deployx_protocol.policy import Demand, Policy, PolicyReport, forbidden, report_of
from deployx_protocol.signed_runs import KEY_ID_LENGTH, Asked, SignedRun, key_id

_NAMED = 5
_SIGN_ANEW = "Sign it anew: `deployx run --sign`."
_report_of = lru_cache(maxsize=1_024)(report_of)


@dataclass(frozen=True, slots=True)
class Signed:
    """An envelope that goes with its request, and what it says."""

    envelope: Envelope
    run: SignedRun

    @property
    def key_ids(self) -> list[str]:
        """Whose signatures it says it has."""
        return sorted({one.keyid for one in self.envelope.signatures})

    def signers(self, targets: Sequence[Target]) -> list[dict[str, str]]:
        """The keys, with the names that the policies of ``targets`` have for them; empty where none knows one."""
        names: dict[str, str] = {}
        for target in targets:
            report = _report_of(target.policy)
            for one in report.rules.operator if report and report.rules else ():
                names.setdefault(one.key_id, one.name)
        return [{"key_id": id, "name": names.get(id, "")} for id in self.key_ids]


def opened(envelope: SignedEnvelope | None) -> Signed | None:
    """What came with a request. Raises InvalidInput."""
    if envelope is None:
        return None
    try:
        read = checks.decode(envelope.model_dump(), Envelope)
        run = signed_runs.read(read)
        for signature in read.signatures:
            if not checks.is_hex(signature.keyid, KEY_ID_LENGTH):
                raise checks.InvalidPayload(f"A `keyid` is not {KEY_ID_LENGTH} hexadecimal digits.")
    except checks.InvalidPayload as error:
        raise InvalidInput(f"`envelope` cannot be used: {error}", code="envelope_unusable") from None
    return Signed(read, run)


def check(signed: Signed, work: Work, targets: Sequence[Target], now: datetime) -> None:
    """Whether ``signed`` is for exactly this. Raises InvalidInput."""
    if signed.run.asked() != asked_of(work):
        raise _mismatch("What was signed is not what this request asks for.")
    named = {key_id(target.public_key): target for target in targets}
    missing = [name for id, name in signed.run.targets.items() if id not in named]
    if missing:
        raise _mismatch(f"It was signed for {_some(missing)} as well, which this request does not reach.")
    others = [target.device_name for id, target in named.items() if id not in signed.run.targets]
    if others:
        raise _mismatch(f"It was not signed for {_some(others)}, which this request reaches.")
    renamed = [one.device_name for id, one in named.items() if signed.run.targets[id] != one.hostname]
    if renamed:
        raise _mismatch(f"It was signed for other host names than those of {_some(renamed)}.")
    if signed.run.expires_at <= now:
        raise InvalidInput(f"What was signed has expired. {_SIGN_ANEW}", code="envelope_expired")


def _mismatch(why: str) -> InvalidInput:
    return InvalidInput(f"{why} {_SIGN_ANEW}", code="envelope_mismatch")


def asked_of(work: Work) -> Asked:
    """What ``work`` does, as it is signed."""
    return Asked.of(
        command=work.argv,
        shell=work.shell,
        script_sha256=work.script_sha256,
        interpreter=work.interpreter,
        args=work.args,
        user=work.run_as,
        cwd=work.cwd,
        env=work.env,
        timeout_s=work.timeout_s,
    )


def foretold(targets: Sequence[Target], work: Work | None, signed: Signed | None, now: datetime) -> list[str]:
    """Which of ``targets`` will refuse ``work``, by what they reported of their policies; a sentence a reason."""
    if work is None:
        return []
    asked = asked_of(work)
    by_reason: dict[str, list[str]] = defaultdict(list)
    for target in filter(lambda one: one.policy, targets):
        report = _report_of(target.policy)
        why = _refuses(report, asked, signed, now) if report else ""
        if why:
            by_reason[why].append(target.device_name)
    return [
        f"{len(names)} {'device' if len(names) == 1 else 'devices'} will refuse this ({_some(names)}): {why}"
        for why, names in by_reason.items()
    ]


def _refuses(report: PolicyReport, asked: Asked, signed: Signed | None, now: datetime) -> str:
    if report.stop:
        return f"work there is stopped by the file {report.stop}."
    if report.error or report.rules is None:
        return "its policy cannot be used, so nothing runs there."
    refusal = forbidden(report.rules, asked, report.user, now)
    if refusal:
        return _there(refusal.message)
    return _unsigned(report.rules, signed, now) if report.rules.runs is Demand.SIGNED else ""


def _there(message: str) -> str:
    return message.replace("The policy of this machine", "its policy", 1)


def _unsigned(policy: Policy, signed: Signed | None, now: datetime) -> str:
    if signed is None:
        return "its policy runs only what an operator has signed: `deployx run --sign`."
    known = {one.key_id for one in policy.operator if one.until is None or now < one.until}
    count = len(known.intersection(signed.key_ids))
    if count >= policy.threshold:
        return ""
    needs = "a signature" if policy.threshold == 1 else f"{policy.threshold} signatures"
    return f"its policy asks for {needs} of operators that it knows, and this has {count or 'none'}."


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def columns(signed: Signed | None, targets: Sequence[Target]) -> dict[str, Any]:
    """What a run keeps of it."""
    if signed is None:
        return {}
    return {
        "envelope": signed.envelope.to_json(),
        "signed_by": signed.signers(targets),
        "signed_number": signed.run.number,
    }
