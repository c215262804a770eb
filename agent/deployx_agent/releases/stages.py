"""How far the release that is under way has come: what is on the disk before the next thing happens.

One table says which stage follows which, one function what an agent does that finds a stage of the process before it.
Invariants: `CHANGING` is written before anything is changed, and only when all that going back needs is on the disk;
what is not committed is undone, by whoever finds it.
"""

from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """Of the one release that an agent handles at a time."""

    PREPARING = "preparing"  # what going back needs is gathered; nothing of the machine was touched
    CHANGING = "changing"  # anything may be half done
    REBOOTING = "rebooting"  # changed; the machine goes down, or will
    CHECKING = "checking"  # changed; detect and health
    CONFIRMING = "confirming"  # healthy; a server has to be reached
    HANDING_OVER = "handing_over"  # of the agent's own update: the record of updates says which version is tried
    REVERTING = "reverting"  # what was there before is being put back
    OVER = "over"  # its ending is in the record


class Course(StrEnum):
    """What the next agent does with what it finds."""

    REST = "rest"  # nothing: it is over
    COMMITTED = "committed"  # it had passed its commit: say so
    CLEAN = "clean"  # remove what was prepared
    UNDO = "undo"  # put back what was there
    CHECK = "check"  # the machine has restarted, as it should: detect, health
    REBOOT = "reboot"  # it has not: restart it
    LOOK = "look"  # the record of updates says whether this is the version that was to come
    CONFIRM = "confirm"  # go on trying to reach a server, with the time that is left


TRANSITIONS: Final[dict[Stage, frozenset[Stage]]] = {
    Stage.PREPARING: frozenset({Stage.CHANGING, Stage.HANDING_OVER, Stage.REVERTING, Stage.OVER}),
    Stage.CHANGING: frozenset({Stage.REBOOTING, Stage.CHECKING, Stage.REVERTING}),
    Stage.HANDING_OVER: frozenset({Stage.OVER}),
    Stage.REBOOTING: frozenset({Stage.REBOOTING, Stage.CHECKING, Stage.REVERTING}),
    Stage.CHECKING: frozenset({Stage.CONFIRMING, Stage.REVERTING, Stage.OVER}),
    Stage.CONFIRMING: frozenset({Stage.CONFIRMING, Stage.REVERTING, Stage.OVER}),
    Stage.REVERTING: frozenset({Stage.REVERTING, Stage.OVER}),
    Stage.OVER: frozenset({Stage.PREPARING}),
}
"""Stage → what may follow. From `PREPARING` to `REVERTING` goes who was told to revert."""

_FOUND: Final = {
    Stage.PREPARING: Course.CLEAN,
    Stage.CHANGING: Course.UNDO,
    Stage.CHECKING: Course.UNDO,
    Stage.CONFIRMING: Course.CONFIRM,
    Stage.HANDING_OVER: Course.LOOK,
    Stage.REVERTING: Course.UNDO,
    Stage.OVER: Course.REST,
}


def may_follow(before: Stage | None, after: Stage) -> bool:
    """Whether ``after`` may be written over ``before``; None is nothing at all."""
    return after is Stage.PREPARING if before is None else after in TRANSITIONS[before]


def course(stage: Stage, *, committed: bool, rebooted: bool) -> Course:
    """What follows from a stage that an earlier process has left. ``committed``: what is installed was committed by
    this very task; ``rebooted``: the machine has restarted since the stage was written."""
    if stage is Stage.OVER:
        return Course.REST
    if committed:
        return Course.COMMITTED
    if stage is Stage.REBOOTING:
        return Course.CHECK if rebooted else Course.REBOOT
    return _FOUND[stage]
