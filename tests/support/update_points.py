"""Every point on the way of an update of the agent at which it can be killed: in the version that gives way, by
``killed_at``; in the one that comes, which lies in a slot, by a line that is put into it.

`python -m tests.support.update_points LABEL ARGUMENTS…` is the agent, killed there.
"""

import sys

from tests.support import killed_at
from tests.support.crash_points import Point, When

_UPDATE = "deployx_agent.update."
_MEMORY = "deployx_agent.releases.memory:Memory.write"

OLD = {
    "preparing: written": Point(_MEMORY, When.AFTER, lambda _self, current: current.stage == "preparing"),
    "made ready": Point(_UPDATE + "flow:AgentUpdate._prepared", When.AFTER),
    "before it takes its slot": Point(_UPDATE + "runtime:Update.place", When.BEFORE),
    "in its slot": Point(_UPDATE + "runtime:Update.place", When.AFTER),
    "handing over: written": Point(_MEMORY, When.AFTER, lambda _self, current: current.stage == "handing_over"),
    "the trial is recorded": Point(_UPDATE + "runtime:Update.begin", When.AFTER),
    "it gives way": Point(_UPDATE + "runtime:Update.give_way", When.AFTER),
    "before the launcher": Point(_UPDATE + "launcher:start_over", When.BEFORE),
}

_DIES = """import os
{indent}if not os.path.exists({marker!r}):
{indent}    open({marker!r}, "w").close()
{indent}    os.kill(os.getpid(), 9)
{indent}"""
_NEW = {
    "new: loaded": ("update/entry.py", "return main(sys.argv[1:], Start.WATCHED)"),
    "new: registered, not recorded": ("update/runtime.py", "record.write(self.folder, found.confirming())"),
    "new: recorded": ("update/runtime.py", 'self._log.info("This version has registered, and stays"'),
    "new: before it is over": ("update/flow.py", "outcome = Outcome.REVERTED if current.action is Action.REVERT"),
}
NEW = tuple(_NEW)


def dying(label: str, marker: str):  # type: ignore[no-untyped-def]
    """The change that makes a version die there, once: then ``marker`` exists."""
    file, words = _NEW[label]

    def change(path: str, text: str) -> str:
        if path != f"deployx_agent/{file}":
            return text
        assert text.count(words) == 1, f"{label} has outlived its code"
        before, after = text.split(words)
        indent = before[before.rindex("\n") + 1 :]
        return before + _DIES.format(indent=indent, marker=marker) + words + after

    return change


if __name__ == "__main__":
    killed_at.arm(OLD[sys.argv.pop(1)])
    from deployx_agent.cli import main

    sys.exit(main())
