"""Stands before each task: asks the policy, remembers what may be done only once, and says so in the log.

Invariant: the number of a signed run is in the journal, for this task, before the task is; whoever sends it again, in
another task, is refused.
"""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from deployx_agent.logs import Log
from deployx_agent.policy.file import Found, PolicyFile
from deployx_protocol.task_messages import Task
from deployx_protocol.tasks import TaskCode

if TYPE_CHECKING:  # most machines have no policy, and the agent's memory is counted
    from deployx_agent.policy.releases import Accepted
    from deployx_protocol.policy import PolicyReport, Refusal
    from deployx_protocol.releases import Action, Manifest

NO_POLICY = "There is no policy on this machine: it does whatever its server says."
_SUMMARY_MAX = 200


class Memory(Protocol):
    """What the journal is asked for."""

    @property
    def remembers_since(self) -> float:
        """When it began, in seconds since 1970."""

    async def take_number(self, number: str, task_id: str, expires_at: float) -> bool:
        """Whether ``number`` is this task's. Raises DiskError."""


class Guard:
    """``identity`` gives this agent's public key and host name, which may change while it runs."""

    def __init__(self, path: Path | None, identity: Callable[[], tuple[str, str]], log: Log) -> None:
        self._file = PolicyFile(path)
        self._identity = identity
        self._log = log
        self._user = own_user()
        self._told: Found | None = None
        self._tell(self._file.current())

    async def refusal(self, task: Task, memory: Memory) -> "Refusal | None":
        """Why ``task`` does not run here, now; None if it may, and then its number is taken. Raises DiskError."""
        found = self._current()
        stopped_by = self._file.stopped_by(found)
        if found is None and not stopped_by:
            return None
        refused = await self._judge(found, stopped_by, task, memory)
        if refused:
            self._log.warning("Task refused by the policy of this machine", task_id=task.task_id, code=refused.code)
        return refused

    async def _judge(self, found: Found | None, stopped_by: str, task: Task, memory: Memory) -> "Refusal | None":
        from deployx_agent.policy.decide import Machine, decide
        from deployx_agent.policy.releases import stopped
        from deployx_protocol.policy import Refusal

        if refused := stopped(stopped_by):
            return refused

        since = datetime.fromtimestamp(memory.remembers_since, UTC)
        verdict = decide(found, task, Machine(*self._identity(), self._user, since), datetime.now(UTC))
        if isinstance(verdict, Refusal):
            return verdict
        if verdict.number and verdict.expires_at:
            if not await memory.take_number(verdict.number, task.task_id, verdict.expires_at.timestamp()):
                message = "This signed run was done here before, and a signature is good for once; sign it anew."
                return Refusal(TaskCode.POLICY_SIGNATURE, message)
            self._log.info("Task is signed", task_id=task.task_id, by=", ".join(verdict.signers))
        return None

    def release_refusal(self, task: Task, payload: bytes, highest: int | None) -> "Accepted | Refusal":
        """Whether the release of ``task``, whose payload is there now, may be handled: `policy.releases`."""
        from deployx_agent.policy.releases import Accepted, release_refusal, stopped

        if task.release is None:
            raise AssertionError("a task without a release")
        found = self._current()
        verdict = stopped(self._file.stopped_by(found)) or release_refusal(
            found, task.release, payload, self._user, highest, datetime.now(UTC)
        )
        if not isinstance(verdict, Accepted):
            self._log.warning("Release refused", task_id=task.task_id, code=verdict.code)
        elif verdict.signed_by:
            self._log.info("Release is signed", task_id=task.task_id, by=", ".join(verdict.signed_by))
        return verdict

    def previous_refusal(self, manifest: "Manifest", payload: bytes) -> "Manifest | Refusal":
        """The previous version of ``manifest``, if this machine would go back to it; asked before a change."""
        from deployx_agent.policy.releases import previous_refusal

        return previous_refusal(self._current(), manifest, payload, self._user)

    def taken_back_refusal(self, action: "Action", manifest: "Manifest", back_to: str) -> "Refusal | None":
        """Why ``manifest`` is not taken back to ``back_to``, or removed, at the server's word: `policy.take_back`."""
        from deployx_agent.policy.releases import taken_back_refusal

        return taken_back_refusal(self._current(), action, manifest, back_to)

    def report(self) -> "PolicyReport | None":
        """What the server is told of it; None if there is nothing to tell."""
        found = self._current()
        stop = self._file.stopped_by(found)
        if found is None and not stop:
            return None
        from deployx_protocol.policy import ERROR_MAX, PATH_MAX, PolicyReport

        found = found or Found(self._file.path)
        return PolicyReport(
            file=_shown(str(found.path), PATH_MAX),
            sha256=found.sha256,
            error=_shown(found.error, ERROR_MAX),
            stop=_shown(stop, PATH_MAX),
            user=_shown(self._user, 128),
            rules=found.policy,
        )

    def _current(self) -> Found | None:
        """What holds now; the log has what it is, whenever it is another."""
        found = self._file.current()
        if found != self._told:
            self._tell(found)
        return found

    def _tell(self, found: Found | None) -> None:
        self._told = found
        if found is None:
            self._log.info(NO_POLICY)
        elif found.policy is None:
            self._log.error(f"{found.error} Nothing is run until it is mended")
        else:
            from deployx_protocol.policy import PolicyReport
            from deployx_protocol.policy_words import summary

            said = summary(PolicyReport(file="", rules=found.policy))
            self._log.info(f"Policy of this machine: {said}", file=found.path, sha256=found.sha256[:16])


def told(report: "PolicyReport | None") -> tuple[str, dict[str, str]]:
    """A report as it is sent: all of it, and one line among the facts about the machine."""
    if report is None:
        return "", {}
    from deployx_protocol.policy_words import summary

    return msgspec.json.encode(report).decode(), {"policy": _shown(summary(report), _SUMMARY_MAX)}


def _shown(text: str, longest: int) -> str:
    """One line that may be sent: it may quote anything."""
    return "".join(character if character.isprintable() else "?" for character in text)[:longest].strip()


def own_user() -> str:
    """Whose rights a task has that names no user."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", "")
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container a user need not have a name
        return str(os.geteuid())
