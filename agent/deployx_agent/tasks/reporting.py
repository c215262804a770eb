"""What one message of reports says: the present state of each task, and with its end what it printed, if it is little.

Invariant: a message is one that the server takes, however many reports and pieces of output are put together.
"""

from collections.abc import Iterable
from typing import Any

from deployx_agent.tasks.entry import Entry
from deployx_protocol import frames, limits
from deployx_protocol.limits import UPDATE_OUTPUT_MAX_BYTES
from deployx_protocol.task_messages import OutputChunk, TaskUpdate

_CHUNKS_MAX = 4
_OUTPUT_BYTES = 16_384
_CHUNKS_PER_MESSAGE = 40


def with_output(entry: Entry) -> bool:
    """Whether what it printed goes with the report of its end: all of it, for none was sent."""
    spool = entry.spool
    return entry.final is not None and 0 < spool.size <= UPDATE_OUTPUT_MAX_BYTES and spool.chunks <= _CHUNKS_MAX


def updates_of(entries: Iterable[Entry], now: float) -> list[dict[str, Any]]:
    """What is reported of ``entries`` now, as JSON: an end was checked when it was made. Output that goes with one
    counts as sent."""
    updates: list[dict[str, Any]] = []
    bytes_left, chunks_left = _OUTPUT_BYTES, _CHUNKS_PER_MESSAGE
    for entry in entries:
        ago_s = min(max(now - entry.since, 0.0), limits.SECONDS_MAX)
        if entry.final is None:
            updates.append(_present(entry, now, ago_s).to_json())
            continue
        update, spool = entry.final.to_json(), entry.spool
        update["ago_s"] = ago_s
        if entry.sent_offset == 0 and with_output(entry) and spool.size <= bytes_left and spool.chunks <= chunks_left:
            raw = spool.read(0, UPDATE_OUTPUT_MAX_BYTES)
            update["output"] = [OutputChunk.of(*frame).to_json() for frame in frames.decode(raw)]
            bytes_left -= spool.size
            chunks_left -= spool.chunks
            entry.sent_offset, entry.output_at = spool.size, now + entry.output_pause_s
        updates.append(update)
    return updates


def _present(entry: Entry, now: float, ago_s: float) -> TaskUpdate:
    """What is reported of a task that goes on."""
    if entry.phase is None:
        return TaskUpdate(task_id=entry.task_id, state=entry.state, ago_s=ago_s)
    entry.phase_untold, entry.told_phase_at = False, now
    return TaskUpdate(task_id=entry.task_id, state=entry.state, ago_s=ago_s, phase=entry.phase, percent=entry.percent)
