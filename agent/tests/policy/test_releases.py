"""Whether a machine takes a release: tried with all that the thief of a server could make of signed ones."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_agent.policy.decide import Allowed, Machine, decide
from deployx_agent.policy.file import Found
from deployx_agent.policy.releases import Accepted, previous_refusal, release_refusal, taken_back_refusal
from deployx_protocol.dsse import Signature
from deployx_protocol.policy import Refusal, parse
from deployx_protocol.releases import PAYLOAD_TYPE, Action, Artifact, Kind, Manifest, Previous, Step, payload_of
from deployx_protocol.signed_runs import PAYLOAD_TYPE as RUN_TYPE
from deployx_protocol.task_messages import ReleaseOrder, Task
from deployx_protocol.tasks import TaskCode
from tests.support.operators import Operator

ADA, BOB, EVE = Operator("ada"), Operator("bob"), Operator("eve")
NOW = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)  # a Sunday
MACHINE = Machine("11" * 32, "web-1", "root", NOW)
LISTED: dict[str, Any] = {"scripts": "listed", "script": [{"sha256": "a" * 64, "interpreter": ["bash"]}]}


def release(**changes: Any) -> Manifest:
    said: dict[str, Any] = {
        "name": "web",
        "version": "1.2",
        "number": 3,
        "kind": Kind.SCRIPT,
        "platforms": ["linux"],
        "install": Step(command=["true"]),
        "detect": Step(command=["true"]),
    }
    return Manifest(**(said | changes))


def order(payload: bytes, *signatures: Signature, action: Action = Action.INSTALL) -> ReleaseOrder:
    digest = hashlib.sha256(payload).hexdigest()
    return ReleaseOrder(action=action, sha256=digest, size=len(payload), signatures=list(signatures))


def found(**rules: Any) -> Found:
    return Found(Path("/policy"), policy=parse(rules))


def signed_only(threshold: int = 1, *operators: Operator, until: datetime | None = None, **rules: Any) -> Found:
    named: list[dict[str, Any]] = [{"name": one.name, "key": one.public_key} for one in operators or (ADA,)]
    named[0] |= {"until": until} if until else {}
    return found(releases="signed", threshold=threshold, operator=named, **rules)


def judge(
    policy: Found | None,
    manifest: Manifest | bytes,
    *signers: Operator,
    highest: int | None = None,
    now: datetime = NOW,
    payload_type: str = PAYLOAD_TYPE,
) -> Accepted | Refusal:
    payload = manifest if isinstance(manifest, bytes) else payload_of(manifest)
    signatures = [one.sign(payload, payload_type) for one in signers]
    return release_refusal(policy, order(payload, *signatures), payload, "root", highest, now)


def code_of(verdict: Accepted | Manifest | Refusal) -> TaskCode | None:
    return verdict.code if isinstance(verdict, Refusal) else None


def test_without_a_policy_the_servers_word_is_enough() -> None:
    assert judge(None, release()) == Accepted(release())
    assert judge(found(), release(), EVE) == Accepted(release())


def test_threat_03_only_what_enough_operators_have_signed_is_installed() -> None:
    two = signed_only(2, ADA, BOB)
    assert judge(two, release(), ADA, BOB) == Accepted(release(), ("ada", "bob"))
    assert judge(two, release(), ADA, BOB, EVE) == Accepted(release(), ("ada", "bob"))
    assert code_of(judge(two, release())) is TaskCode.POLICY_UNSIGNED
    for signers in ([EVE], [ADA], [ADA, ADA], [ADA, EVE], [EVE, EVE]):
        assert code_of(judge(two, release(), *signers)) is TaskCode.POLICY_SIGNATURE
    assert code_of(judge(two, release(), ADA, BOB, payload_type=RUN_TYPE)) is TaskCode.POLICY_SIGNATURE
    assert code_of(judge(two, release(), *[ADA] * 16, BOB)) is TaskCode.POLICY_SIGNATURE


def test_a_signature_is_for_its_payload_alone() -> None:
    policy, payload, other = signed_only(), payload_of(release()), payload_of(release(number=4))
    moved = order(other, ADA.sign(payload))
    assert code_of(release_refusal(policy, moved, other, "root", None, NOW)) is TaskCode.POLICY_SIGNATURE
    for sent in (other, payload + b" ", b""):
        verdict = release_refusal(policy, order(payload, ADA.sign(payload)), sent, "root", None, NOW)
        assert code_of(verdict) is TaskCode.RELEASE_UNREADABLE
    odd = [Signature(sig="?", keyid=ADA.key_id), Signature(sig="", keyid=""), Signature(sig="AAAA", keyid=ADA.key_id)]
    for signature in odd:
        assert code_of(release_refusal(policy, order(payload, signature), payload, "root", None, NOW)) is (
            TaskCode.POLICY_SIGNATURE
        )


@given(at=st.integers(0), bit=st.integers(0, 7), what=st.sampled_from(["payload", "signature"]))
def test_one_other_bit_is_enough_to_refuse(at: int, bit: int, what: str) -> None:
    payload = payload_of(release())
    raw = bytearray(payload if what == "payload" else ADA.sign(payload).sig.encode())
    raw[at % len(raw)] ^= 1 << bit
    body = bytes(raw) if what == "payload" else payload
    sig = ADA.sign(payload).sig if what == "payload" else raw.decode("latin-1")
    verdict = release_refusal(signed_only(), order(body, Signature(sig=sig)), body, "root", None, NOW)
    assert code_of(verdict) is TaskCode.POLICY_SIGNATURE


def test_a_key_counts_until_it_expires() -> None:
    policy = signed_only(until=NOW)
    assert judge(policy, release(), ADA, now=NOW - timedelta(seconds=1)) == Accepted(release(), ("ada",))
    verdict = judge(policy, release(), ADA)
    assert isinstance(verdict, Refusal) and "the key of ada has expired" in verdict.message


def test_threat_03_a_number_never_goes_back_signed_or_not() -> None:
    for policy, signers in ((None, ()), (signed_only(), (ADA,))):
        assert code_of(judge(policy, release(), *signers, highest=4)) is TaskCode.RELEASE_OLDER
        for highest in (None, 2, 3):
            assert isinstance(judge(policy, release(), *signers, highest=highest), Accepted)


def test_threat_03_what_is_taken_back_is_what_a_signed_release_names() -> None:
    named = Previous(version="1.1", sha256="b" * 64, size=9)
    with_name, without = release(previous=named), release()
    every = [(with_name, "b" * 64), (with_name, "c" * 64), (with_name, ""), (without, ""), (without, "b" * 64)]

    def taken(policy: Found | None, action: Action) -> list[bool]:
        return [taken_back_refusal(policy, action, one, back_to) is None for one, back_to in every]

    keyed = {"operator": [{"name": "ada", "key": ADA.public_key}]}
    for policy in (
        signed_only(),
        signed_only(take_back="named"),
        found(runs="signed", **keyed),
        found(take_back="named"),
    ):
        assert taken(policy, Action.REVERT) == [True, False, False, False, False]
        assert taken(policy, Action.REMOVE) == [False] * 5
        assert taken(policy, Action.INSTALL) == [True] * 5
    for trusting in (None, found(), signed_only(take_back="any")):
        assert taken(trusting, Action.REVERT) == taken(trusting, Action.REMOVE) == [True] * 5
    for action in (Action.REVERT, Action.REMOVE):
        assert (
            taken(found(take_back="none"), action) == taken(Found(Path("/policy"), error="No."), action) == [False] * 5
        )


@pytest.mark.parametrize(
    "rules",
    [
        {"runs": "signed", "operator": [{"name": "ada", "key": ADA.public_key}]},
        {"shell": False},
        {"commands": False},
        {"scripts": "none"},
        LISTED,
        {"releases": "none"},
    ],
)
def test_threat_03_rules_for_runs_are_not_walked_around_by_a_release(rules: dict[str, Any]) -> None:
    assert isinstance(judge(found(**rules), release()), Refusal)
    if "releases" not in rules:
        with pytest.raises(ValueError, match="walk around"):
            parse({**rules, "releases": "any"})


def test_a_step_may_do_what_a_run_may() -> None:
    named: dict[str, Any] = {"name": "tool", "sha256": "a" * 64, "size": 1}
    scripted = release(
        install=Step(artifact="tool", interpreter=["bash"]),
        detect=Step(artifact="tool", interpreter=["bash"]),
        artifacts=[msgspec.convert(named, Artifact)],
    )
    listed = signed_only(**LISTED)
    assert judge(listed, scripted, ADA) == Accepted(scripted, ("ada",))
    others: Mapping[str, Step] = {
        "install": Step(artifact="tool", interpreter=["bash"], args=["-x"]),
        "detect": Step(command=["id"]),
        "uninstall": Step(shell="id"),
    }
    for name, step in others.items():
        verdict = judge(listed, msgspec.structs.replace(scripted, **{name: step}), ADA)
        assert code_of(verdict) is TaskCode.POLICY_FORBIDS
        assert f"`{name}` of the release" in (verdict.message if isinstance(verdict, Refusal) else "")


def test_users_time_outs_and_hours_hold_for_releases_too() -> None:
    assert code_of(judge(found(users=["deploy"]), release())) is TaskCode.POLICY_FORBIDS
    assert isinstance(judge(found(users=["root"]), release()), Accepted)
    assert code_of(judge(found(max_timeout_s=60), release())) is TaskCode.POLICY_FORBIDS
    window = {"from": "22:00", "to": "03:00", "zone": "UTC"}
    assert code_of(judge(found(hours=window), release())) is TaskCode.POLICY_HOURS
    assert code_of(judge(found(stop=True), release())) is TaskCode.POLICY_STOP
    broken = Found(Path("/policy"), error="It is broken.")
    assert code_of(judge(broken, release(), ADA)) is TaskCode.POLICY_UNUSABLE


def test_the_previous_version_is_vouched_for_by_the_one_that_names_it() -> None:
    before = release(version="1.1", number=2)
    payload = payload_of(before)
    named = Previous(version="1.1", sha256=hashlib.sha256(payload).hexdigest(), size=len(payload))
    manifest = release(previous=named)
    assert previous_refusal(signed_only(), manifest, payload, "root") == before
    assert code_of(previous_refusal(None, manifest, payload + b" ", "root")) is TaskCode.RELEASE_UNREADABLE
    assert code_of(previous_refusal(None, release(), payload, "root")) is TaskCode.RELEASE_UNREADABLE
    assert code_of(previous_refusal(found(shell=False), manifest, payload, "root")) is TaskCode.POLICY_FORBIDS
    for changes in ({"number": 3}, {"name": "db"}):
        other = payload_of(release(**changes))
        named = Previous(version="1.1", sha256=hashlib.sha256(other).hexdigest(), size=len(other))
        verdict = previous_refusal(None, release(previous=named), other, "root")
        assert code_of(verdict) is TaskCode.RELEASE_UNREADABLE


def test_a_payload_that_is_no_release_is_refused_whoever_signed_it() -> None:
    for body in (b"", b"{}", b"[]", b'{"name": "web"}', b"\xff", payload_of(release())[:-1], b"[" * 200_000):
        assert code_of(judge(signed_only(), body, ADA)) is TaskCode.RELEASE_UNREADABLE


def test_a_task_with_a_release_is_judged_before_its_payload_is_fetched() -> None:
    task = Task(
        task_id="00000000-0000-7000-8000-000000000001",
        agent_id="web-1",
        release=order(b"{}"),
        timeout_s=60,
        expires_in_s=600,
        output_quota_bytes=1024,
    )
    verdict = decide(signed_only(), task, MACHINE, NOW)
    assert isinstance(verdict, Refusal) and verdict.code is TaskCode.POLICY_UNSIGNED
    some = msgspec.structs.replace(task, release=order(b"{}", EVE.sign(b"{}", PAYLOAD_TYPE)))
    assert decide(signed_only(), some, MACHINE, NOW) == Allowed()
    assert decide(None, task, MACHINE, NOW) == Allowed()
    closed = decide(found(releases="none"), some, MACHINE, NOW)
    assert isinstance(closed, Refusal) and closed.code is TaskCode.POLICY_FORBIDS
