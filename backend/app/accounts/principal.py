"""Who is asking, as every service sees it. It is made by authentication only, and it never changes."""

from dataclasses import dataclass
from datetime import datetime

from app.accounts.permissions import SCOPES, Permission, Role, TokenScope, granted
from app.audit.actions import Actor, ActorKind


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, and the session, API token or schedule that speaks for them (exactly one of these), from where."""

    user_id: int
    email: str
    role: str
    session_id: str | None = None
    token_id: str | None = None
    source_ip: str = ""
    scopes: frozenset[str] | None = None
    """What the API token is limited to; None: to nothing."""
    proven_at: datetime | None = None
    """When the session last showed whose it is."""
    schedule_id: str | None = None

    @property
    def actor(self) -> Actor:
        """This user, as the audit record has it."""
        spoke = {"token": self.token_id, "schedule": self.schedule_id, "session": self.session_id}
        via = next(f"{kind} {one}" for kind, one in spoke.items() if one or kind == "session")
        return Actor(ActorKind.USER, self.email, self.user_id, via, self.source_ip)

    @property
    def is_admin(self) -> bool:
        """Whether this user sees everyone's devices."""
        return self.role == Role.ADMIN

    def may(self, permission: Permission) -> bool:
        """Whether the role grants ``permission``, and the token's scopes leave it."""
        return permission in granted(self.role) and (
            self.scopes is None
            or any(permission in SCOPES[TokenScope(scope)] for scope in self.scopes if scope in SCOPES)
        )
