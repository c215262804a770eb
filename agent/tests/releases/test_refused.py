"""What a machine does not take: it changes nothing, says why, and is not tried again."""

from pathlib import Path
from typing import Any

import msgspec

from deployx_protocol.releases import PAYLOAD_TYPE, Action, Manifest, payload_of
from deployx_protocol.task_messages import ReleaseOrder, TaskUpdate
from tests.support.operators import Operator, write_policy
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.task_peer import Ready

ADA, EVE = Operator("ada"), Operator("eve")


def touching(folder: Path, number: int = 1, **fields: Any) -> Manifest:
    """A release that leaves a mark."""
    fields = {"install": {"shell": f"echo x >> {folder}/ran"}, "detect": {"command": ["false"]}, **fields}
    return manifest(number=number, **fields)


def refused(end: TaskUpdate, code: str) -> bool:
    return (*told(end), end.code) == ("failed", "untouched", code)


async def test_fault_15_a_tampered_signature(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    """The thief of a server has all that it has, and no operator's key: nothing of his runs."""
    (tmp_path / "etc").mkdir(mode=0o755)
    policy = write_policy(tmp_path / "etc" / "policy.toml", 'releases = "signed"', ADA.table())
    agent = await ready(policy=policy)
    mine, his = touching(tmp_path), touching(tmp_path, install={"shell": f"echo thief >> {tmp_path}/ran"})
    good = ADA.sign(payload_of(mine), PAYLOAD_TYPE)
    tampered = msgspec.structs.replace(good, sig=("A" if good.sig[0] != "A" else "B") + good.sig[1:])
    assert refused(await peer.follow(his), "policy_unsigned")
    for signatures in ([EVE.sign(payload_of(his), PAYLOAD_TYPE)], [good], [ADA.sign(payload_of(his))]):
        assert refused(await peer.follow(his, signatures=signatures), "policy_signature")
    assert refused(await peer.follow(mine, signatures=[tampered]), "policy_signature")
    assert not (tmp_path / "ran").exists()
    assert peer.asked.count(peer.order(mine).sha256) == 1, "what is refused is not tried again"
    assert not list((tmp_path / "state" / "releases").glob("names/*"))
    ends = await peer.follow(mine, signatures=[good])
    assert (*told(ends), ends.code) == ("failed", "revert_failed", "release_failed"), "it runs, and does what it does"
    assert (tmp_path / "ran").read_text() == "x\n", agent.log


async def test_threat_03_a_stolen_server_takes_nothing_back(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    """It has every release that operators have signed, and says what is to be done with them."""
    (tmp_path / "etc").mkdir(mode=0o755)
    policy = write_policy(tmp_path / "etc" / "policy.toml", 'releases = "signed"', ADA.table())
    path = tmp_path / "app.conf"

    def settings(number: int, **fields: Any) -> Manifest:
        artifact = peer.artifact("app.conf", str(number).encode())
        file = {"artifact": "app.conf", "path": str(path)}
        return manifest("conf", number, kind="file", artifacts=[artifact], file=file, **fields)

    async def order(release: Manifest, action: Action = Action.INSTALL) -> TaskUpdate:
        return await peer.follow(release, action, signatures=[ADA.sign(payload_of(release), PAYLOAD_TYPE)])

    await ready(policy=policy)
    one, two = settings(1), settings(2)
    named = peer.order(two)
    three = settings(3, previous={"version": two.version, "sha256": named.sha256, "size": named.size})
    for release in (one, two):
        assert told(await order(release)) == ("succeeded", "installed")
    assert refused(end := await order(two, Action.REVERT), "policy_forbids"), end
    assert "names none; install a release of the old content" in end.message
    assert refused(end := await order(two, Action.REMOVE), "policy_forbids"), end
    assert refused(await order(one, Action.REVERT), "release_older")
    assert path.read_text() == "2"
    assert told(await order(three)) == ("succeeded", "installed")
    assert told(await order(three, Action.REVERT)) == ("succeeded", "reverted"), "that is what was signed"
    assert path.read_text() == "2"
    assert refused(await order(two, Action.REVERT), "release_older"), "and no step further"
    write_policy(policy, 'releases = "signed"\ntake_back = "any"', ADA.table())
    assert told(await order(three, Action.REMOVE)) == ("succeeded", "already")


async def test_fault_14_what_is_not_what_was_named(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    one = peer.artifact("one", b"1" * 5_000)
    release = touching(tmp_path, artifacts=[one])
    for body in (b"2" * 5_000, b"1" * 5_001):
        peer.artifacts[one.sha256] = body
        asked = peer.asked.count(one.sha256)
        assert refused(await peer.follow(release, timeout_s=60), "release_unavailable")
        assert 1 <= peer.asked.count(one.sha256) - asked <= 3
    peer.artifacts[one.sha256] = b"1" * 4_999
    assert told(await peer.follow(release, timeout_s=2)) == ("timed_out", "untouched"), "it may yet come"
    order = peer.order(release)
    peer.payloads[order.sha256] = peer.payloads[order.sha256].replace(b'"app"', b'"xpp"')
    (tmp_path / "state/releases/payloads").rename(tmp_path / "elsewhere")
    task = peer.task(release=order, timeout_s=60)
    await peer.submit(task)
    assert refused(await peer.ended(task.task_id), "release_unavailable")
    assert not (tmp_path / "ran").exists()


async def test_what_is_for_other_machines_or_nothing_at_all(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    assert refused(await peer.follow(touching(tmp_path, platforms=["windows", "linux/s390x"])), "release_unfit")
    order = peer.order(touching(tmp_path))
    for wrong in ({"sha256": "no hash"}, {"sha256": "0" * 64}, {"size": order.size + 1}):
        task = peer.task(release=msgspec.structs.replace(order, **wrong))
        await peer.submit(task)
        end = await peer.ended(task.task_id)
        assert (end.state, end.outcome) == ("failed", "untouched")
    for body in (b"{}", b"no json", payload_of(touching(tmp_path)).replace(b'"number":1', b'"number":1,"other":2')):
        import hashlib

        sha256 = hashlib.sha256(body).hexdigest()
        peer.payloads[sha256] = body
        task = peer.task(release=ReleaseOrder(action=Action.INSTALL, sha256=sha256, size=len(body)))
        await peer.submit(task)
        assert refused(await peer.ended(task.task_id), "release_unreadable")
    assert not (tmp_path / "ran").exists()


async def test_an_agent_that_only_watches(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready(watch_only=1)
    assert "releases" not in peer.registrations()[-1].facts
    assert refused(await peer.follow(touching(tmp_path)), "watch_only")
    assert peer.asked == []
    assert not (tmp_path / "state" / "releases").exists()


async def test_an_agent_that_takes_them_says_so(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    assert peer.registrations()[-1].facts["releases"] == "1"
    assert not (tmp_path / "state" / "releases").exists(), "most agents never have one"
