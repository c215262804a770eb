"""An end of the process that was foreseen: a sentence for people and an exit code for whoever supervises us.

Invariant: nothing that an operator can cause ends in a traceback.
"""

from deployx_protocol.codes import EXIT_CONFIG, EXIT_TEMPFAIL


class Exit(Exception):
    """Ends the process with ``code`` after logging the message."""

    code = EXIT_CONFIG


class ConfigError(Exit):
    """The configuration, or the state folder it names, cannot be used."""


class Busy(Exit):
    """Another agent holds the state folder."""

    code = EXIT_TEMPFAIL
