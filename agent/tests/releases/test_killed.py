"""kill -9 of the agent at every labelled point of a release (``tests/support/release_points.py``), for each kind.

After each: the next agent ends the task by itself and says what is true; the machine has the old version or the new
one, whole; a new task, as the server sends one, leads to the end that an undisturbed release has.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from deployx_protocol.releases import Manifest, Outcome
from deployx_protocol.tasks import TaskState
from tests.support.agent_process import AgentProcess, environment
from tests.support.apt_repository import PREFIX, AptRepository, installed, repository
from tests.support.left_over import left_over
from tests.support.release_peer import ReleasePeer, archive_of, manifest, told
from tests.support.release_points import labels
from tests.support.zygote import Zygotes

KINDS = ("archive", "file", "script", "package")
SAMPLE = {
    ("archive", False): ("archive: in its place", "commit: after"),
    ("file", True): ("reverting: written",),
    ("package", False): ("package: installed",),
}
_TRUE = {
    (TaskState.SUCCEEDED, Outcome.INSTALLED),
    (TaskState.INTERRUPTED, Outcome.REVERTED),
    (TaskState.INTERRUPTED, Outcome.UNTOUCHED),
    (TaskState.FAILED, Outcome.REVERTED),
}


class Place:
    """Where releases of one kind go, and which of them is there."""

    def __init__(self, peer: ReleasePeer, kind: str, folder: Path, apt: AptRepository | None) -> None:
        self._peer = peer
        self._kind = kind
        self._apt = apt
        self._path = folder / "opt" / "app"
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def manifest(self, number: int, **fields: Any) -> Manifest:
        artifact = self._peer.artifact
        match self._kind:
            case "archive":
                body = archive_of({"VERSION": f"{number}", "big": b"x" * 100_000})
                fields |= {"artifacts": [artifact("a.tgz", body)]}
                fields |= {"archive": {"artifact": "a.tgz", "into": str(self._path), "strip": 1}}
            case "file":
                fields |= {"artifacts": [artifact("a.conf", f"{number}".encode())]}
                fields |= {"file": {"artifact": "a.conf", "path": str(self._path)}}
            case "script":
                fields |= {"install": {"shell": f"echo half > {self._path}; echo {number} > {self._path}"}}
                fields |= {"detect": {"shell": f'test "$(cat {self._path})" = {number}'}}
                fields |= {"uninstall": {"command": ["rm", str(self._path)]}}
            case _:
                assert self._apt
                with contextlib.suppress(FileExistsError):
                    self._apt.add("app", f"{number}.0")
                fields |= {"package": {"name": f"{PREFIX}app", "state": "version", "version": f"{number}.0"}}
        if self._kind != "script":
            fields |= {"install": {"command": ["true"]}}
        return manifest("app", number, kind=self._kind, confirm_s=60, **fields)

    def version(self) -> str:
        match self._kind:
            case "archive":
                assert (self._path / "big").stat().st_size == 100_000
                return (self._path / "VERSION").read_text()
            case "package":
                return installed("app").removeprefix("ii ").removesuffix(".0")
            case _:
                return self._path.read_text().strip()

    def beside(self) -> list[str]:
        return [path.name for path in self._path.parent.iterdir() if path != self._path]


Start = Callable[[str], Any]


class Trials:
    """The agent of ``peer``, killed again and again."""

    def __init__(self, peer: ReleasePeer, zygotes: Zygotes, folder: Path, state_dir: Path) -> None:
        self._peer = peer
        self._zygotes = zygotes
        self._folder = folder
        self._state_dir = state_dir
        self._agent: AgentProcess | None = None

    async def start(self, label: str = "") -> AgentProcess:
        env = environment(self._state_dir, server_url=self._peer.origin, reconnect_delay=0.05)
        self._agent = AgentProcess(await self._zygotes.of("agent").start(env, "run", label=label))
        await self._agent.logged("Agent ready - Listening for commands")
        return self._agent

    async def end(self) -> None:
        if self._agent:
            await self._agent.tidy()

    async def at(self, kind: str, label: str, number: int, *, back: bool, apt: AptRepository | None) -> None:
        """Kill it at ``label`` on the way from version ``number`` to the next."""
        peer, place = self._peer, Place(self._peer, kind, self._folder, apt)
        agent = await self.start()
        first = place.manifest(number)
        assert told(await peer.follow(first))[0] == "succeeded"
        await agent.tidy()
        failing = {"health": {"check": {"command": ["false"]}, "within_s": 0.1}} if back else {}
        second = place.manifest(number + 1, **failing)
        agent = await self.start(label)
        task = peer.release_task(second)
        await peer.submit(task)
        assert await agent.end() == -9, f"{label} was not reached"
        agent = await self.start()
        end = await peer.ended(task.task_id)
        assert (end.state, end.outcome) in _TRUE, end
        became = str(number + 1 if end.outcome is Outcome.INSTALLED else number)
        assert place.version() == became, f"{end} {agent.log}"
        assert not left_over({task.task_id})
        again = await peer.follow(second)
        assert again.outcome is Outcome.REVERTED if back else again.state is TaskState.SUCCEEDED, again
        assert place.version() == str(number + (not back))
        assert len(place.beside()) <= 1, place.beside()
        await agent.tidy()


@pytest.fixture
async def trials(
    peer: ReleasePeer, zygotes: Zygotes, tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Trials]:
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt" / "apt.conf"))
    made = Trials(peer, zygotes, tmp_path, state_dir)
    yield made
    await made.end()


async def _try(trials: Trials, kind: str, chosen: list[str], folder: Path, *, back: bool) -> None:
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        apt = stack.enter_context(repository(folder / "apt")) if kind == "package" else None
        for turn, label in enumerate(chosen):
            try:
                await trials.at(kind, label, 10 * turn + 1, back=back, apt=apt)
            except (AssertionError, TimeoutError) as error:
                failed[label] = f"{type(error).__name__}: {error}"[:3_000]
                await trials.end()
    assert not failed, "\n".join(f"{label}: {why}" for label, why in failed.items())


@pytest.mark.parametrize(("kind", "back"), SAMPLE)
async def test_killed_at_a_point(trials: Trials, tmp_path: Path, kind: str, back: bool) -> None:
    await _try(trials, kind, [*SAMPLE[kind, back]], tmp_path, back=back)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("back", [False, True])
async def test_killed_at_every_point(trials: Trials, tmp_path: Path, kind: str, back: bool) -> None:
    await _try(trials, kind, labels(kind, back=back), tmp_path, back=back)
