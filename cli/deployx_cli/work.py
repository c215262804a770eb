"""Runs, tasks and their output, as the server's REST API has them."""

import base64
import binascii
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

from deployx_cli.api import Api
from deployx_cli.errors import CommandError, Unreachable, WrongUsage

LAST = "last"
_PIECE_BYTES = 1 << 20
_ATTEMPTS = 3
FINAL = frozenset({"succeeded", "failed", "timed_out", "cancelled", "interrupted", "expired", "lost"})


class Piece(NamedTuple):
    """Chunks of a task's output as (stream, bytes); `gone`: earlier ones were deleted for their age."""

    chunks: list[tuple[int, bytes]]
    next_seq: int
    gone: bool


class Work:
    """What the commands about runs ask of one server."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def preview(self, request: dict[str, Any]) -> dict[str, Any]:
        """Whom the request would reach."""
        return self._api.object("POST", "/runs/preview", json=request)

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a run. Asked again when no answer comes, which never starts a second one."""
        return repeatable(self._api, "/runs", request)

    def retry(self, run_id: str, states: list[str]) -> dict[str, Any]:
        """Start a run that repeats tasks of another."""
        return repeatable(self._api, f"/runs/{run_id}/retry", {"states": states} if states else None)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run, with what was asked for. `last` is the newest."""
        if run_id == LAST:
            found = self._api.object("GET", "/runs", params={"limit": "1"}).get("items")
            if not found:
                raise CommandError("There is no run yet.")
            run_id = str(found[0]["id"])
        if not run_id or not all(character in "0123456789abcdef-" for character in run_id):
            raise WrongUsage(f"{run_id!r} is not the id of a run; deployx runs lists them, and last is the newest.")
        return self._api.object("GET", f"/runs/{run_id}")

    def changed(self, run_id: str, after_rev: int, wait_s: float) -> dict[str, Any]:
        """The run, as soon as it has changed since `after_rev`, something of it was printed, or `wait_s` are over."""
        query = {"after_rev": str(after_rev), "wait_s": str(wait_s)}
        return self._api.object("GET", f"/runs/{run_id}", params=query, patience_s=wait_s)

    def runs(self, filters: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Runs, newest first."""
        return self._api.pages("/runs", filters)

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """All tasks of a run, by the names of their devices."""
        return list(self._api.pages(f"/runs/{run_id}/tasks", {}))

    def output(self, task_id: str, from_seq: int) -> Piece:
        """What there is of a task's output, from one chunk on."""
        query = {"from_seq": str(from_seq), "limit_bytes": str(_PIECE_BYTES)}
        page = self._api.object("GET", f"/tasks/{task_id}/output", params=query)
        try:
            chunks = [(int(one["stream"]), base64.b64decode(one["data"])) for one in page["chunks"]]
            return Piece(chunks, int(page["next_seq"]), bool(page.get("gone")))
        except (KeyError, TypeError, binascii.Error):
            raise self._api.foreign() from None

    def cancel(self, run_id: str) -> dict[str, Any]:
        """Call off what is not over."""
        return self._api.object("POST", f"/runs/{run_id}/cancel")

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Call one task off."""
        return self._api.object("POST", f"/tasks/{task_id}/cancel")


def repeatable(api: Api, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Ask for something to be made; asked again under the same key when no answer comes. Raises Unreachable."""
    headers = {"Idempotency-Key": str(uuid4())}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return api.object("POST", path, json=body, headers=headers)
        except Unreachable:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(attempt)
    raise AssertionError


def of_device(tasks: list[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """The tasks of the device with this name or id. Raises CommandError when there is none."""
    found = [task for task in tasks if device in (task["device_name"], str(task["device_id"]))]
    if not found:
        raise CommandError(f"The run has no task for a device named {device!r}.")
    return found
