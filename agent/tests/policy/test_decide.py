"""The verdict on a task: a pure function, tried with all that the thief of a server could make of a signed run."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployx_agent.policy.decide import Allowed, Machine, decide
from deployx_agent.policy.file import Found
from deployx_protocol import checks
from deployx_protocol.dsse import Envelope
from deployx_protocol.policy import Refusal, parse
from deployx_protocol.task_messages import Script, Task
from deployx_protocol.tasks import TaskCode
from tests.support import operators
from tests.support.operators import Operator, moment, sealed, signed

ADA, BOB, EVE = Operator("ada"), Operator("bob"), Operator("eve")
HERE, ELSEWHERE = "11" * 32, "22" * 32
NOW = datetime.now(UTC)
MACHINE = Machine(HERE, "web-1", "root", NOW - timedelta(days=1))
TARGETS = {HERE: "web-1", ELSEWHERE: "web-2"}
TASK = Task(
    task_id="00000000-0000-7000-8000-000000000001",
    agent_id="web-1",
    argv=["systemctl", "restart", "nginx"],
    run_as="deploy",
    cwd="/srv",
    env={"B": "2", "A": "1"},
    timeout_s=60,
    expires_in_s=600,
    output_quota_bytes=1024,
)
FOREIGN = (TaskCode.POLICY_UNSIGNED, TaskCode.POLICY_SIGNATURE)


def payload_of(task: Task, targets: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    return operators.payload_of(task, targets, NOW, **changes)


def policy(threshold: int = 1, *operators: Operator, until: datetime | None = None) -> Found:
    named = [{"name": one.name, "key": one.public_key} for one in operators or (ADA,)]
    if until:
        named[0]["until"] = until  # type: ignore[assignment]
    return Found(Path("/policy"), policy=parse({"runs": "signed", "threshold": threshold, "operator": named}))


def carrying(envelope: Envelope | None, task: Task = TASK) -> Task:
    return msgspec.structs.replace(task, envelope=envelope)


def judge(task: Task, found: Found | None = None, now: datetime = NOW, machine: Machine = MACHINE) -> Allowed | Refusal:
    return decide(found or policy(), task, machine, now)


def code_of(verdict: Allowed | Refusal) -> TaskCode | None:
    return verdict.code if isinstance(verdict, Refusal) else None


def test_a_signed_run_is_allowed_and_uses_up_its_number() -> None:
    payload = payload_of(TASK, TARGETS)
    verdict = judge(carrying(signed(payload, ADA)))
    assert verdict == Allowed(("ada",), payload["number"], datetime.fromisoformat(payload["expires_at"]))


def test_a_script_is_signed_by_its_hash() -> None:
    script = Script(sha256="a" * 64, size=5, interpreter=["bash", "-e"], args=["x"])
    task = msgspec.structs.replace(TASK, argv=None, script=script)
    assert isinstance(judge(carrying(signed(payload_of(task, TARGETS), ADA), task)), Allowed)
    other = msgspec.structs.replace(task, script=msgspec.structs.replace(script, sha256="b" * 64))
    assert code_of(judge(carrying(signed(payload_of(task, TARGETS), ADA), other))) is TaskCode.POLICY_SIGNATURE


def test_without_a_policy_a_signature_changes_nothing() -> None:
    for envelope in (None, signed({"any": "thing"}, EVE)):
        assert decide(None, carrying(envelope), MACHINE, NOW) == Allowed()
        assert decide(Found(Path("/p"), policy=parse({})), carrying(envelope), MACHINE, NOW) == Allowed()


def test_a_policy_that_cannot_be_used_lets_nothing_run() -> None:
    verdict = judge(carrying(signed(payload_of(TASK, TARGETS), ADA)), Found(Path("/p"), error="It is broken."))
    assert code_of(verdict) is TaskCode.POLICY_UNUSABLE


def test_threat_03_an_unsigned_task_is_refused() -> None:
    assert code_of(judge(TASK)) is TaskCode.POLICY_UNSIGNED


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ["systemctl", "stop", "nginx"]},
        {"argv": ["systemctl restart nginx"]},
        {"argv": None, "shell": "systemctl restart nginx"},
        {"argv": None, "script": Script(sha256="a" * 64, size=1, interpreter=["bash"])},
        {"script": Script(sha256="a" * 64, size=1, interpreter=["bash"])},
        {"run_as": ""},
        {"cwd": "/"},
        {"env": {"A": "1"}},
        {"env": {"A": "1", "B": "2", "LD_PRELOAD": "/tmp/x.so"}},
        {"env": {"A": "2", "B": "1"}},
        {"timeout_s": 61.0},
    ],
)
def test_threat_03_another_task_under_a_signature_is_refused(changes: dict[str, Any]) -> None:
    envelope = signed(payload_of(TASK, TARGETS), ADA)
    other = msgspec.structs.replace(TASK, **changes)
    verdict = judge(carrying(envelope, other))
    assert code_of(verdict) is TaskCode.POLICY_SIGNATURE
    assert isinstance(verdict, Refusal)
    assert "not what the server asks for" in verdict.message


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"targets": {"0" * 32: "web-1"}}, "for other machines"),
        ({"expires_at": moment(NOW - timedelta(minutes=3)), "issued_at": moment(NOW - timedelta(hours=1))}, "before"),
        ({"issued_at": moment(NOW + timedelta(minutes=3))}, "one of the two is wrong"),
        ({"issued_at": moment(NOW - timedelta(days=2))}, "memory of tasks here begins"),
        ({"expires_at": moment(NOW + timedelta(days=31))}, "more than 30 days"),
        ({"expires_at": "2999-01-01T00:00:00"}, "timezone"),
        ({"issued_at": "9999-12-31T00:00:00Z", "expires_at": "9999-12-31T23:59:59Z"}, "year"),
        ({"issued_at": "0001-01-01T00:00:00+23:59", "expires_at": "0001-01-01T01:00:00Z"}, "year"),
        ({"number": "1"}, "32 hexadecimal digits"),
        ({"later_addition": True}, "unknown field"),
        ({"shell": "id"}, "not one of"),
        ({"targets": {}}, "1 to 500 devices"),
    ],
)
def test_threat_03_what_was_signed_for_something_else_is_refused(changes: dict[str, Any], why: str) -> None:
    verdict = judge(carrying(signed(payload_of(TASK, TARGETS) | changes, ADA)))
    assert isinstance(verdict, Refusal)
    assert verdict.code is TaskCode.POLICY_SIGNATURE
    assert why in verdict.message


def test_threat_03_a_name_shown_beside_another_machines_key_is_refused() -> None:
    envelope = signed(payload_of(TASK, {HERE: "build-7"}), ADA)
    verdict = judge(carrying(envelope))
    assert isinstance(verdict, Refusal)
    assert "signed for a machine named 'build-7', and this one is named 'web-1'" in verdict.message


@pytest.mark.parametrize("field", sorted(payload_of(TASK, TARGETS)))
def test_threat_03_nothing_is_signed_by_being_left_out(field: str) -> None:
    payload = payload_of(TASK, TARGETS)
    del payload[field]
    assert code_of(judge(carrying(signed(payload, ADA)))) is TaskCode.POLICY_SIGNATURE


def test_clocks_may_differ_a_little() -> None:
    late = {"expires_at": moment(NOW - timedelta(seconds=100)), "issued_at": moment(NOW - timedelta(hours=1))}
    early = {"issued_at": moment(NOW + timedelta(seconds=100))}
    for changes in (late, early):
        assert isinstance(judge(carrying(signed(payload_of(TASK, TARGETS) | changes, ADA))), Allowed)


def test_threat_03_only_keys_of_the_policy_count_and_each_once() -> None:
    payload = payload_of(TASK, TARGETS)
    two = policy(2, ADA, BOB)
    assert isinstance(judge(carrying(signed(payload, ADA, BOB)), two), Allowed)
    assert isinstance(judge(carrying(signed(payload, EVE, BOB, ADA)), two), Allowed)
    for signers in ((ADA,), (ADA, ADA), (ADA, EVE), (EVE,), (EVE, EVE)):
        verdict = judge(carrying(signed(payload, *signers)), two)
        assert code_of(verdict) is TaskCode.POLICY_SIGNATURE, [one.name for one in signers]


def test_threat_03_the_key_id_is_no_more_than_a_hint() -> None:
    body = json.dumps(payload_of(TASK, TARGETS)).encode()
    envelope = sealed(body, [EVE])
    [forged] = envelope.signatures
    for keyid in (ADA.key_id, ""):
        claimed = msgspec.structs.replace(forged, keyid=keyid)
        verdict = judge(carrying(msgspec.structs.replace(envelope, signatures=[claimed])))
        assert code_of(verdict) is TaskCode.POLICY_SIGNATURE
    [good] = sealed(body, [ADA]).signatures
    unnamed = msgspec.structs.replace(envelope, signatures=[msgspec.structs.replace(good, keyid="")])
    assert isinstance(judge(carrying(unnamed)), Allowed)


def test_threat_03_a_key_that_has_expired_does_not_count() -> None:
    task = carrying(signed(payload_of(TASK, TARGETS), ADA))
    assert isinstance(judge(task, policy(until=NOW + timedelta(minutes=1))), Allowed)
    verdict = judge(task, policy(until=NOW))
    assert isinstance(verdict, Refusal)
    assert "the key of ada has expired" in verdict.message


def test_threat_03_a_signature_of_another_kind_of_thing_is_refused() -> None:
    body = json.dumps(payload_of(TASK, TARGETS)).encode()
    other = sealed(body, [ADA], "application/vnd.deployx.release.v1+json")
    assert code_of(judge(carrying(other))) is TaskCode.POLICY_SIGNATURE
    renamed = msgspec.structs.replace(other, payloadType=signed({}, ADA).payloadType)
    assert code_of(judge(carrying(renamed))) is TaskCode.POLICY_SIGNATURE


ENVELOPE = signed(payload_of(TASK, TARGETS), ADA)
AS_JSON = msgspec.json.encode(ENVELOPE)


@given(place=st.integers(0, len(AS_JSON) - 1), flip=st.integers(1, 255))
@example(place=AS_JSON.index(b'"signatures"') + 2, flip=1)
@example(place=AS_JSON.index(b'"keyid"') + 3, flip=1)
def test_threat_03_an_envelope_with_any_byte_changed_is_refused(place: int, flip: int) -> None:
    changed = bytearray(AS_JSON)
    changed[place] ^= flip
    try:
        envelope = checks.decode(msgspec.json.decode(bytes(changed)), Envelope)
    except (checks.InvalidPayload, msgspec.DecodeError, UnicodeDecodeError):
        return  # the agent refuses a task that it cannot read
    if _without_hints(envelope) == _without_hints(ENVELOPE):
        return  # JSON writes the same thing in several ways; what was signed is still there, unchanged
    assert code_of(judge(carrying(envelope))) in FOREIGN


def _without_hints(envelope: Envelope) -> Envelope:
    """Whom a signature names decides nothing but which key is tried first."""
    signatures = [msgspec.structs.replace(signature, keyid="") for signature in envelope.signatures]
    return msgspec.structs.replace(envelope, signatures=signatures)


@given(data=st.data())
def test_threat_03_a_payload_with_any_bit_changed_is_refused(data: st.DataObject) -> None:
    body = bytearray(ENVELOPE.body())
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = msgspec.structs.replace(ENVELOPE, payload=base64.b64encode(body).decode())
    verdict = judge(carrying(changed))
    assert isinstance(verdict, Refusal)
    assert "and has none" in verdict.message
