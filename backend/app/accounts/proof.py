"""Asking again: what reaches far is done by a session only shortly after it showed whose it is.

A browser that somebody left open, or a cookie that somebody took, is not enough then. An API token cannot show more
than itself: its scopes say what it may.
"""

from collections import OrderedDict
from datetime import datetime, timedelta

from app.accounts.principal import Principal
from app.errors import ProofRequired

FRESH = timedelta(minutes=5)
"""How long a proof counts; signing in is one."""
_SESSIONS_MAX = 10_000


def require_proof(principal: Principal, now: datetime, what: str) -> None:
    """Raises ProofRequired, unless this session proved itself lately. ``what`` begins the sentence that says why."""
    if principal.session_id is None:
        return
    if principal.proven_at is None or now - principal.proven_at > FRESH:
        raise ProofRequired(f"{what} needs your password or a code of your authenticator again.")


class Spree:
    """Counts what sessions do one by one, so that many in a row need a proof as one for all of them would."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._done: OrderedDict[str, list[datetime]] = OrderedDict()

    def note(self, principal: Principal, now: datetime) -> None:
        """Count one more. Raises ProofRequired when it is more than ``most`` within the time that a proof counts."""
        if principal.session_id is None:
            return
        lately = [moment for moment in self._done.get(principal.session_id, ()) if now - moment <= FRESH]
        if len(lately) >= self._most:
            require_proof(principal, now, self._what)
        self._done[principal.session_id] = [*lately[-self._most :], now]
        self._done.move_to_end(principal.session_id)
        while len(self._done) > _SESSIONS_MAX:
            self._done.popitem(last=False)
