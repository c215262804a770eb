"""What `deployx run`, `retry` and `output` do: ask, start, follow, and say how it ended."""

import os
import sys
from typing import Any

from deployx_cli import safe
from deployx_cli.durations import spoken
from deployx_cli.errors import EXIT_INTERRUPTED, CommandError, Unreachable, WrongUsage
from deployx_cli.follow import Follower, summary, verdict
from deployx_cli.progress import Progress
from deployx_cli.sinks import Kept, Lines, Raw, Sink
from deployx_cli.work import Work, of_device

ASK_ABOVE = 20
"""Devices: beyond so many somebody at a terminal is asked first."""
_NAMED = 10
STREAMS = {"stdout": 1, "stderr": 2}


class Form:
    """How output is wanted. Raises WrongUsage for what does not go together."""

    def __init__(self, *, as_json: bool = False, raw: bool = False, stream: str | None = None) -> None:
        if as_json and raw:
            raise WrongUsage("--json and --raw exclude each other.")
        self.as_json, self.raw = as_json, raw
        self._stream = STREAMS[stream] if stream else None

    def sink(self, progress: Progress, tasks: int) -> Sink:
        """Where the output of so many tasks goes."""
        if self.as_json:
            return Kept(stream=self._stream)
        if self.raw:
            if tasks > 1:
                raise WrongUsage(f"--raw is for one device, and these are {tasks}; name one with --device.")
            return Raw(progress, stream=self._stream)
        return Lines(progress, prefixed=tasks > 1, stream=self._stream)


def run(work: Work, request: dict[str, Any], form: Form, *, wait: bool, yes: bool) -> int:
    """Start a run after showing whom it reaches, and follow it. Gives the exit code."""
    progress = Progress()
    expires_s = request.get("expires_s", 86_400.0)
    asking = sys.stdin.isatty() and not yes
    if asking or form.raw:  # otherwise nothing depends on it, and the start says the same
        preview = work.preview(request)
        tell_reach(progress, preview, expires_s)
        if form.raw and preview["total"] > 1:
            form.sink(progress, preview["total"])
        if asking and preview["total"] > ASK_ABOVE and not _agreed(preview["total"]):
            raise CommandError("Nothing was started.")
    try:
        made = work.start(request)
    except KeyboardInterrupt:
        progress.say("\nIt may have been started all the same. See: deployx runs")
        return EXIT_INTERRUPTED
    if not (asking or form.raw):
        tell_reach(progress, made, expires_s)
    return started(work, made, form, wait=wait)


def started(work: Work, made: dict[str, Any], form: Form, *, wait: bool) -> int:
    """Follow a run that was started, or say what it is called."""
    if not wait:
        print(safe.as_json(made) if form.as_json else made["id"])
        return 0
    return follow(work, made["id"], form, made=made)


def follow(work: Work, run_id: str, form: Form, device: str = "", *, made: dict[str, Any] | None = None) -> int:
    """Follow a run until it is over; Ctrl-C leaves it alone. `made`: it was started just now. Gives the exit code."""
    progress = Progress()
    try:
        sink = form.sink(progress, made["total"] if made else len(picked(work.tasks(run_id), device)))
        found = Follower(work, run_id, sink, progress, lambda tasks: picked(tasks, device)).until_over(
            made["rev"] if made else 0
        )
    except KeyboardInterrupt:
        progress.say(f"\nThe run goes on. {_how_to_go_on(run_id)}")
        return EXIT_INTERRUPTED
    except Unreachable as error:
        progress.clear()
        raise Unreachable(f"{error} The run goes on. {_how_to_go_on(run_id)}") from None
    if isinstance(sink, Kept):
        print(safe.as_json({"run": work.run(run_id), "tasks": [sink.with_output(task) for task in found]}))
    for sentence in summary(found):
        progress.say(sentence)
    return verdict(found)


def show(work: Work, run_id: str, form: Form, device: str = "") -> None:
    """Print what a run has printed so far."""
    progress = Progress()
    sink = form.sink(progress, len(picked(work.tasks(run_id), device)))
    tasks = Follower(work, run_id, sink, progress, lambda found: picked(found, device)).once()
    if isinstance(sink, Kept):
        print(safe.as_json([sink.with_output(task) for task in tasks]))
    unfinished = sum(not task["output_complete"] for task in tasks)
    if unfinished:
        progress.say(f"{unfinished} of {len(tasks)} not over yet. Follow with: deployx output {run_id} --follow")


def picked(tasks: list[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """All tasks, or those of one device."""
    return of_device(tasks, device) if device else tasks


def tell_reach(progress: Progress, preview: dict[str, Any], expires_s: float) -> None:
    """Whom a run reaches, or has reached, whom it leaves out and why. Raises CommandError when it reaches nobody."""
    for one in preview["excluded"][:_NAMED]:
        name = safe.text(one["device_name"] or f"device {one['id']}")
        progress.say(f"Left out: {name}: {safe.text(one['why'])}")
    if preview["excluded_total"] > _NAMED:
        progress.say(f"Left out: {preview['excluded_total'] - _NAMED} more")
    for sentence in preview["warnings"]:
        progress.say(f"Note: {safe.text(sentence)}")
    total, offline = preview["total"], preview["total"] - preview["online"]
    if not total:
        raise CommandError("No device can be given this. See what a selector reaches with: deployx devices --on …")
    later = f", {offline} will get it when they return (within {spoken(expires_s)})" if offline else ""
    progress.say(f"{total} device{'' if total == 1 else 's'}: {preview['online']} online{later}")


def _agreed(total: int) -> bool:
    print(f"Run this on {total} devices? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _how_to_go_on(run_id: str) -> str:
    return f"Follow it: deployx output {run_id} --follow{os.linesep}Call it off: deployx cancel {run_id}"
