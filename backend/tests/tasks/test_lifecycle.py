"""A row of a task against the protocol's table: whatever agents say, however often and in whatever order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tasks import lifecycle
from app.tasks.lifecycle import GRACE
from app.tasks.models import Run
from app.tasks.rows import NAMES, LockedTask
from deployx_protocol.task_messages import TaskUpdate
from deployx_protocol.tasks import FINAL, REPORTED, TRANSITIONS, TaskCode, TaskEvent, TaskState
from tests.support import work

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = timedelta(seconds=7)
REPORTS = sorted(REPORTED)


def rows(state: TaskState = TaskState.SENT, code: str = "") -> tuple[LockedTask, Run]:
    run = work.run(created_at=NOW - LATER, expires_at=NOW + timedelta(hours=1))
    over = state in FINAL
    task = work.task(
        run,
        1,
        state=state,
        code=code,
        message="",
        sent_at=None if state is TaskState.QUEUED else NOW,
        deadline_at=None if over else run.expires_at,
        finished_at=NOW if over else None,
        output_lost_bytes=0,
    )
    return LockedTask(**{name: getattr(task, name) for name in NAMES}), run


def say(task: LockedTask, state: TaskState, **fields: object) -> TaskUpdate:
    return TaskUpdate(task_id=task.id, state=state, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", REPORTS)
@pytest.mark.parametrize("state", list(TaskState))
def test_a_report_moves_exactly_what_the_table_says(state: TaskState, said: TaskState) -> None:
    task, run = rows(state, TaskCode.SILENT if state is TaskState.LOST else "")
    before = TaskState.SENT if state is TaskState.QUEUED else state
    following = TRANSITIONS.get((before, TaskEvent(said.value)))
    assert lifecycle.report(task, run, say(task, said), NOW + LATER) is (following is not None)
    assert task.state == (following or state)
    assert (task.deadline_at is None) == (task.state in FINAL)
    assert (task.finished_at is not None) == (task.state in FINAL)


@given(st.lists(st.tuples(st.sampled_from(REPORTS), st.floats(0, 100)), max_size=12))
def test_any_reports_in_any_order_leave_a_row_that_makes_sense(said: list[tuple[TaskState, float]]) -> None:
    task, run = rows()
    first_end = None
    for state, ago_s in said:
        lifecycle.report(task, run, say(task, state, ago_s=ago_s), NOW + LATER)
        if task.state in FINAL:
            first_end = first_end or task.state
            assert task.state == first_end  # a later report of another end changes nothing
        assert (task.deadline_at is None) == (task.state in FINAL) == (task.finished_at is not None)
        times = [task.sent_at, task.accepted_at, task.finished_at]
        assert all(NOW <= one <= NOW + LATER for one in times if one)
    if task.state == TaskState.RUNNING:
        assert task.started_at
        assert task.deadline_at == task.started_at + timedelta(seconds=run.timeout_s) + GRACE
    if task.state in (TaskState.SENT, TaskState.ACCEPTED):
        assert task.deadline_at in (run.expires_at, run.expires_at + GRACE)


@pytest.mark.parametrize("code", [TaskCode.JOURNAL_NEW, TaskCode.JOURNAL_RESTORED, TaskCode.NOT_IN_JOURNAL])
@pytest.mark.parametrize("said", REPORTS)
def test_fault_13_what_a_lost_journal_takes_stays_lost(code: TaskCode, said: TaskState) -> None:
    task, run = rows(TaskState.LOST, code)
    assert lifecycle.report(task, run, say(task, said, exit_code=0), NOW + LATER) is False
    assert (task.state, task.code, task.exit_code) == (TaskState.LOST, code, None)


def test_times_are_counted_back_from_now_and_stay_within_the_tasks_life() -> None:
    task, run = rows()
    lifecycle.report(task, run, say(task, TaskState.RUNNING, ago_s=3), NOW + LATER)
    assert task.accepted_at == task.started_at == NOW + LATER - timedelta(seconds=3)
    lifecycle.report(task, run, say(task, TaskState.FAILED, ago_s=10_000, exit_code=1), NOW + LATER)
    assert task.finished_at == NOW


def test_an_end_that_comes_alone_says_when_it_began() -> None:
    task, run = rows()
    lifecycle.report(task, run, say(task, TaskState.SUCCEEDED, duration_s=2.5, ago_s=1), NOW + LATER)
    assert task.finished_at == NOW + timedelta(seconds=6)
    assert task.started_at == NOW + timedelta(seconds=6)  # never before it was accepted
    assert task.duration_s == 2.5
