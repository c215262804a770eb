"""Every error that the server means to raise, and how it reads outside.

    DeployXError
    ├ InvalidInput 422 ── InvalidSelector
    ├ Unauthenticated 401 ── SecondFactorRequired   Forbidden 403 ── ProofRequired
    ├ NotFound 404   TooManyAttempts 429
    ├ InsecureTransport 400   PreconditionFailed 412
    ├ Conflict 409 ── IllegalTransition
    ├ Unavailable 503 (retryable)
    └ OutOfSpace 507

Routes and gateways let these through; the HTTP handler and the gateway turn them into a code and a sentence.
"""

from typing import ClassVar


class DeployXError(Exception):
    """A failure that was expected. ``message`` is a sentence that says what is wrong and what to do."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on the server"

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.specific_code = code or self.code
        self.retry_after_s = retry_after_s


class InvalidInput(DeployXError):
    """What was sent cannot be used."""

    status, code, title = 422, "invalid_input", "The input cannot be used"


class InvalidSelector(InvalidInput):
    """A selector that cannot be read. ``position`` counts its characters from 1."""

    code, title = "invalid_selector", "The selector cannot be used"

    def __init__(self, message: str, position: int | None = None, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.position = position


class InsecureTransport(DeployXError):
    """Credentials would have travelled in the clear."""

    status, code, title = 400, "insecure_transport", "This needs a secure connection"


class Unauthenticated(DeployXError):
    """Nobody is signed in."""

    status, code, title = 401, "unauthenticated", "Not signed in"


class SecondFactorRequired(Unauthenticated):
    """The password is right, and a code is awaited. ``challenge`` goes with it, within ``expires_in_s``."""

    code = "second_factor_required"

    def __init__(self, challenge: str, expires_in_s: int) -> None:
        super().__init__("Enter the code that your authenticator shows, or a recovery code.")
        self.challenge = challenge
        self.expires_in_s = expires_in_s


class Forbidden(DeployXError):
    """Someone is signed in who may not do this."""

    status, code, title = 403, "forbidden", "Not allowed"


class ProofRequired(Forbidden):
    """They may, once they have shown again who they are."""

    code, title = "proof_required", "Show that it is you"


class NotFound(DeployXError):
    """It does not exist, or this user may not know that it does."""

    status, code, title = 404, "not_found", "Not found"


class Conflict(DeployXError):
    """It contradicts what is there."""

    status, code, title = 409, "conflict", "This contradicts the current state"


class IllegalTransition(Conflict):
    """The thing is not in a state from which this can be done."""

    code = "illegal_transition"


class PreconditionFailed(DeployXError):
    """Someone else changed it first."""

    status, code, title = 412, "precondition_failed", "It was changed by someone else"


class TooManyAttempts(DeployXError):
    """The caller has to wait."""

    status, code, title = 429, "too_many_attempts", "Too many attempts"


class Unavailable(DeployXError):
    """It would work later: the database or another part is away."""

    status, code, title = 503, "unavailable", "Not available right now"


class OutOfSpace(DeployXError):
    """A disk is full."""

    status, code, title = 507, "disk_full", "There is no room for it"
