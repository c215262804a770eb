"""``deployx-server``: load the commands, run one, say in one line why it could not be done.

Invariant: what can go wrong is said in one line on stderr, with an exit code from sysexits.h; a traceback is a bug.
"""

import sys

from app.loading import loading


def main() -> None:
    """Run a command; say in one line why it could not be done."""
    with loading():
        from app.commands import commands
    try:
        commands()
    except Exception as error:
        problems, exit_code = _explained(error)
        if not problems:
            raise
        _fail(problems, exit_code)


def _explained(error: Exception) -> tuple[list[str], int]:
    """What to say of ``error``, and the exit code; nothing to say of an error that is a bug."""
    from app.commands import EXIT_REFUSED
    from app.errors import DeployXError, Unavailable
    from app.prepare import CannotServe
    from app.settings import UnusableSettings
    from deployx_protocol.codes import EXIT_CONFIG, EXIT_UNAVAILABLE

    match error:
        case UnusableSettings():
            return error.problems, EXIT_CONFIG
        case CannotServe():
            return [str(error)], error.exit_code
        case DeployXError():
            return [error.message], EXIT_UNAVAILABLE if isinstance(error, Unavailable) else EXIT_REFUSED
    return [], 0


def _fail(problems: list[str], exit_code: int) -> None:
    from app import logging

    for problem in problems:
        print(f"deployx-server: {logging.escape(problem)}", file=sys.stderr)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
