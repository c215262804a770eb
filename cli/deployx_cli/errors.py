"""Everything that can go wrong, with the exit code that scripts see.

    CommandError 1       and a run that succeeded nowhere; 3 is one that did not succeed everywhere
    ├ WrongUsage  2    an option or an address that cannot be used
    ├ Unreachable 69   the server cannot be reached, or is not ready to answer
    └ NotAllowed  77   not signed in, or not allowed; CodeNeeded and WrongCode while signing in

The message is one sentence for stderr; a traceback never is. Ctrl-C exits with 130.
"""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE
EXIT_NOPERM = 77  # EX_NOPERM
EXIT_INTERRUPTED = 130


class CommandError(Exception):
    """The command failed."""

    exit_code = EXIT_FAILED


class WrongUsage(CommandError):
    """What was asked for makes no sense."""

    exit_code = EXIT_USAGE


class Unreachable(CommandError):
    """No answer, or an answer that says: later."""

    exit_code = EXIT_UNAVAILABLE


class NotAllowed(CommandError):
    """No valid login, or not enough rights."""

    exit_code = EXIT_NOPERM


class CodeNeeded(NotAllowed):
    """The password was right; a code of a second factor is to follow, with `challenge`."""

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(message)
        self.challenge = challenge


class WrongCode(NotAllowed):
    """The code was wrong; another may be tried."""
