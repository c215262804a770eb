"""Judges an example: what the database says of each task is held to what the machine has executed.

L, accepted tasks lost; D, tasks executed twice; U, tasks without an end: each must be 0. Nothing here is taken from the
code under test but the table of transitions and the names of states.
"""

from collections import Counter
from typing import Any

from deployx_protocol.tasks import FINAL, TRANSITIONS, TaskCode
from tests.model.children import Child, Plan
from tests.model.database import Move
from tests.model.world import World

_EDGES = {(before.value, after.value) for (before, _), after in TRANSITIONS.items()}
_FINAL = {state.value for state in FINAL}
_GONE = {TaskCode.JOURNAL_NEW.value, TaskCode.JOURNAL_RESTORED.value, TaskCode.NOT_IN_JOURNAL.value}
_SPOKEN = {"succeeded", "failed", "timed_out", "cancelled", "interrupted"}
"""Ends that an agent reports of a task that it may have executed."""


class Oracle:
    """Looks at a world after each step."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._machine = world.machine
        self.promised: set[str] = set()
        """Runs that the operator was told of."""
        self.called_off: set[str] = set()
        """Tasks that someone tried to cancel."""
        self.excused: set[str] = set()
        """Tasks that the journal knew when it was lost, or was to know when that came out."""
        self._journal_is_gone = False
        self._boots_before: set[str] = set()
        self._histories: dict[str, list[Move]] = {}
        self.states: Counter[str] = Counter()

    # ------------------------------------------------------------ what happens

    def journal_lost(self, boots: set[str]) -> None:
        """Agents with ``boots`` were before; the next one has lost their memory."""
        self._journal_is_gone, self._boots_before = True, boots

    # ------------------------------------------------------------ after each step

    def look(self) -> None:
        """Judge what has happened."""
        assert not self._world.bugs, self._world.bugs
        twice = {task_id: count for task_id, count in self._machine.executed.items() if count > 1}
        assert not twice, f"D: executed twice: {self._told(twice)}"
        moves = self._world.onlooker.moves()
        for move in moves:
            self._histories.setdefault(move.task_id, []).append(move)
            self._check(move)
        if self._journal_is_gone:
            self.excused |= set(self._world.onlooker.tasks())
            if self._world.onlooker.device().boot_id not in self._boots_before:
                self._journal_is_gone = False

    def _check(self, move: Move) -> None:
        told = self._told([move.task_id])
        assert (move.before, move.after) in _EDGES, f"no such transition: {told}"
        if move.before in _FINAL:
            assert move.before == "lost" and move.before_code == TaskCode.SILENT, f"a final state changed: {told}"
        executed, completed = self._machine.executed[move.task_id], self._machine.completed[move.task_id]
        match move.after:
            case "running":
                assert executed == 1 or move.task_id in self._machine.abandoned, f"said to run, and does not: {told}"
            case "succeeded" | "failed":
                child = self._child(move.task_id)
                assert executed == completed == 1 and child, f"{move.after}, and was not executed: {told}"
                assert (child.plan.exit_code == 0) == (move.after == "succeeded"), f"wrong verdict: {told}"
                assert not move.code, f"failed for no reason: {told}"
            case "timed_out":
                assert executed == 1 and not completed, f"timed out, and did not run: {told}"
            case "interrupted":
                assert move.task_id in self._machine.abandoned, f"interrupted by nothing: {told}"
            case "cancelled":
                assert move.task_id in self.called_off, f"cancelled by nobody: {told}"
            case "expired":
                assert not executed, f"expired, and was executed: {told}"
            case "lost" if move.code in _GONE:
                assert self._journal_is_gone or move.task_id in self.excused, (
                    f"L: lost, and the journal is there: {told}"
                )

    # ------------------------------------------------------------ at the end

    def unfinished(self) -> list[str]:
        """Tasks without an end, or whose output is not all there yet."""
        return [
            row.id
            for row in self._world.onlooker.tasks().values()
            if row.state not in _FINAL
            or (row.state == "lost" and row.code == TaskCode.SILENT and not self._never_arrived(row.id))
            or (row.state in _SPOKEN and row.id not in self.excused and row.output_next_seq != (row.output_chunks or 0))
        ]

    def _never_arrived(self, task_id: str) -> bool:
        """Whether the agent was away until the deadline, so that it cannot say more than the server."""
        if task_id in self.excused:
            return True
        agent = self._world.agent
        return not self._machine.executed[task_id] and not (agent and agent.knows(task_id))

    def conclude(self) -> None:
        """Everything had time to come to its end."""
        tasks = self._world.onlooker.tasks()
        there = {row.run_id for row in tasks.values()}
        assert self.promised <= there, f"L: accepted runs are gone: {self.promised - there}"
        left = self.unfinished()
        assert not left, f"U: no end, or not all of the output: {self._told(left)}"
        assert not self._machine.running(), "a program goes on that nobody knows of"
        for row in tasks.values():
            self.states[row.state] += 1
            if row.state in _SPOKEN:
                self._check_output(row)
        device = self._world.onlooker.device()
        assert (device.trust, device.status) == ("trusted", "online"), f"P: the agent is connected, and {device}"

    def _check_output(self, row: Any) -> None:
        child = self._child(row.id)
        plan = child.plan if child else Plan()
        kept = [(seq, stream, text.encode()) for seq, (stream, text) in enumerate(plan.pieces)]
        found = self._world.onlooker.output(row.id)
        if row.state in ("succeeded", "failed") and row.id not in self.excused:
            assert found == kept, f"the output is not what was printed: {found} {self._told([row.id])}"
        assert found == kept[: len(found)], f"the output is not what was printed: {found} {self._told([row.id])}"

    def _child(self, task_id: str) -> Child | None:
        return next((child for child in self._machine.children if child.task_id == task_id and child.ran), None)

    def _told(self, task_ids: Any) -> str:
        """All that is known of these tasks."""
        rows = self._world.onlooker.tasks()
        lines = []
        for task_id in task_ids:
            row = rows.get(task_id)
            moves = [
                f"{m.before}→{m.after}{f' ({m.code})' if m.code else ''}" for m in self._histories.get(task_id, [])
            ]
            child = self._child(task_id)
            lines.append(
                f"{task_id}: {row.state if row else 'no row'} {row.code if row else ''}; {', '.join(moves)}; "
                f"executed {self._machine.executed[task_id]}, completed {self._machine.completed[task_id]}, "
                f"plan {child.plan if child else None}, output {row.output_next_seq if row else 0} "
                f"of {row.output_chunks if row else None}"
            )
        return "\n".join(lines)
