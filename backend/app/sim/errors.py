"""Why a simulation cannot be done."""


class CannotSimulate(Exception):
    """The message is one sentence that says what to do."""
