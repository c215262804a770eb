"""Asking again: what reaches far is done by a session only shortly after it showed whose it is.

A browser that somebody left open, or a cookie that somebody took, is not enough then. An API token cannot show more
than itself: its scopes say what it may.
"""

from datetime import datetime, timedelta

from app.accounts.principal import Principal
from app.errors import ProofRequired

FRESH = timedelta(minutes=5)
"""How long a proof counts; signing in is one."""


def require_proof(principal: Principal, now: datetime, what: str) -> None:
    """Raises ProofRequired, unless this session proved itself lately. ``what`` begins the sentence that says why."""
    if principal.session_id is None:
        return
    if principal.proven_at is None or now - principal.proven_at > FRESH:
        raise ProofRequired(f"{what} needs your password or a code of your authenticator again.")
