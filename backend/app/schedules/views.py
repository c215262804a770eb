"""Schedules and firings as the API shows them. Values of the environment are for the owner's eyes alone."""

from app.schedules.models import Firing, Schedule
from app.schedules.schemas import Action, FiringView, RunAction, ScheduleView

_FIRING = ("id", "due_at", "claimed_at", "by_hand", "state", "reason", "missed", "run_id", "deployment_id")
_SCHEDULE = (
    "id",
    "name",
    "at",
    "cron",
    "timezone",
    "windows",
    "missed",
    "grace_s",
    "overlap",
    "state",
    "next_due_at",
    "created_at",
    "updated_at",
    "rev",
)


def firing_view(row: Firing) -> FiringView:
    """A firing."""
    return FiringView.model_validate({name: getattr(row, name) for name in _FIRING})


def schedule_view(
    row: Schedule, owner: str, last: Firing | None, action: Action, *, what: str, words: str, own: bool
) -> ScheduleView:
    """A schedule, and its latest firing."""
    said = {name: getattr(row, name) for name in _SCHEDULE}
    return ScheduleView.model_validate(
        {
            **said,
            "owner": owner,
            "own": own,
            "action": (action if own else _without_values(action)).model_dump(),
            "what": what,
            "words": words,
            "last": firing_view(last) if last else None,
        }
    )


def _without_values(action: Action) -> Action:
    if not isinstance(action, RunAction):
        return action
    request = action.request.model_copy(update={"env": dict.fromkeys(action.request.env, "")})
    return action.model_copy(update={"request": request})
