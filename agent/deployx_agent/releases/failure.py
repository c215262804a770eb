"""Why a release does not get any further. Caught in one place, where it is decided what follows."""

from deployx_agent.tasks.runner import Ending
from deployx_protocol.tasks import TaskCode


class Failure(Exception):
    """Something did not work: a code, and a sentence that says what to do."""

    def __init__(self, code: TaskCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Called(Exception):
    """Somebody has called it off, its time is up, or the agent is asked to stop."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.message)
        self.ending = ending


def unfit(message: str) -> Failure:
    """It cannot be done here, or could not be undone."""
    return Failure(TaskCode.RELEASE_UNFIT, message)
