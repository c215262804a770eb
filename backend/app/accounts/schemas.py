"""What the account routes take and answer.

Invariant: unknown fields, NUL, half a character and overlong text are refused before anything else sees them.
"""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from app.accounts.invitations import InvitationState, Invited
from app.accounts.models import ApiToken, Session, User
from app.accounts.permissions import Role, TokenScope
from app.accounts.two_factor import Setup, Status
from app.clock import iso
from app.settings import PASSWORD_MAX

Timestamp = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""ISO 8601 in UTC with ``Z``."""


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain half of a surrogate pair")
    return text


def _one_line(text: str) -> str:
    text = text.strip()
    if not text or not text.isprintable():
        raise ValueError("must be one line of text that can be shown")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Code = Annotated[Text, Field(min_length=1, max_length=40)]
"""Of an authenticator, or a recovery code, with or without what it was grouped by."""
Line = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]


class Input(BaseModel):
    """What a client sends: nothing but the fields named."""

    model_config = ConfigDict(extra="forbid")


class Login(Input):
    """Who wants to sign in."""

    email: Annotated[Text, Field(min_length=1, max_length=254)]
    password: Annotated[Text, Field(min_length=1, max_length=PASSWORD_MAX)]


class SecondFactor(Input):
    """The second step of signing in."""

    challenge: Annotated[Text, Field(min_length=1, max_length=100)]
    code: Code


class TokenInput(Input):
    """An API token to make."""

    name: Line
    expires_in_s: Annotated[int, Field(ge=60, le=10 * 366 * 86_400)] | None = None
    """None: it lasts until it is deleted."""
    scopes: Annotated[list[TokenScope], Field(min_length=1, max_length=len(TokenScope))] | None = None
    """None: it may all that its user may."""


class PasswordInput(Input):
    """Another password, and the one until now."""

    current: Annotated[Text, Field(min_length=1, max_length=PASSWORD_MAX)]
    new: Annotated[Text, Field(min_length=1, max_length=PASSWORD_MAX)]


class CodeInput(Input):
    """A code of an authenticator."""

    code: Code


class ProofInput(Input):
    """The password, or, where there is a second factor, a code."""

    password: Annotated[Text, Field(min_length=1, max_length=PASSWORD_MAX)] | None = None
    code: Code | None = None


class TwoFactorOff(Input):
    """Both are needed."""

    password: Annotated[Text, Field(min_length=1, max_length=PASSWORD_MAX)]
    code: Code


class TwoFactorView(BaseModel):
    """How one's second factor is. ``since`` is null while there is none."""

    since: Timestamp | None
    last_used_at: Timestamp | None
    recovery_codes_left: int

    @classmethod
    def of(cls, status: Status) -> Self:
        """The view of it."""
        return cls(since=status.since, last_used_at=status.last_used_at, recovery_codes_left=status.recovery_codes_left)


class QrView(BaseModel):
    """A QR code: ``path`` is that of an SVG whose view box is a square of ``size``."""

    size: int
    path: str


class TwoFactorSetup(BaseModel):
    """What an authenticator has to be told. It is shown this once."""

    secret: str
    uri: str
    qr: QrView

    @classmethod
    def of(cls, setup: Setup) -> Self:
        """The view of it."""
        return cls(secret=setup.secret, uri=setup.uri, qr=QrView(size=setup.qr.size, path=setup.qr.path))


class RecoveryCodes(BaseModel):
    """Each is good once, instead of a code. They are shown this once."""

    codes: list[str]


class UserView(BaseModel):
    """A user as others see them."""

    id: int
    email: str
    role: Role
    created_at: Timestamp

    @classmethod
    def of(cls, user: User) -> Self:
        """The view of a row."""
        return cls(id=user.id, email=user.email, role=Role(user.role), created_at=user.created_at)


class PersonView(UserView):
    """A user as administrators see them."""

    disabled_at: Timestamp | None
    """When they were shut out; null: they can sign in."""

    @classmethod
    def of(cls, user: User) -> Self:
        """The view of a row."""
        fields = UserView.of(user).model_dump()
        return cls(**fields, disabled_at=user.disabled_at)


class PersonList(BaseModel):
    """Everyone, by address."""

    items: list[PersonView]


class PersonChange(Input):
    """What to change about a user; what is left out stays as it is."""

    role: Role | None = None
    disabled: bool | None = None


class InvitationInput(Input):
    """Whom to invite, as what, and how long the link is good."""

    email: Annotated[Text, Field(min_length=1, max_length=254)]
    role: Role = Role.VIEWER
    expires_in_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 7 * 86_400


class InvitationView(BaseModel):
    """An invitation without its secret."""

    id: str
    email: str
    role: Role
    created_by: str | None
    created_at: Timestamp
    expires_at: Timestamp
    state: InvitationState

    @classmethod
    def of(cls, invited: Invited) -> Self:
        """The view of a row."""
        row = invited.row
        return cls(
            id=row.id,
            email=row.email,
            role=Role(row.role),
            created_by=invited.by,
            created_at=row.created_at,
            expires_at=row.expires_at,
            state=invited.state,
        )


class NewInvitation(InvitationView):
    """An invitation just made. ``link``, shown this once, begins with the server's public address, if it has one."""

    link: str


class InvitationList(BaseModel):
    """Invitations, newest first."""

    items: list[InvitationView]


class InvitationToken(Input):
    """The secret of an invitation: what follows the # in its link."""

    token: Annotated[Text, Field(min_length=1, max_length=200)]


class InvitationAnswer(InvitationToken):
    """The password with which the invited one will sign in."""

    password: Annotated[Text, Field(min_length=1, max_length=PASSWORD_MAX)]


class InvitedView(BaseModel):
    """Whom an invitation is for, and what they will be."""

    email: str
    role: Role
    expires_at: Timestamp


class SessionView(BaseModel):
    """Where someone is signed in."""

    id: str
    created_at: Timestamp
    last_used_at: Timestamp
    expires_at: Timestamp
    source_ip: str
    user_agent: str
    current: bool
    """Whether it is the one that asks."""

    @classmethod
    def of(cls, row: Session, current_id: str | None) -> Self:
        """The view of a row."""
        return cls(
            id=row.id,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
            source_ip=row.source_ip,
            user_agent=row.user_agent,
            current=row.id == current_id,
        )


class SessionList(BaseModel):
    """One user's sessions, the latest used first."""

    items: list[SessionView]


class TokenView(BaseModel):
    """An API token without its secret."""

    id: str
    name: str
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Timestamp | None
    scopes: list[TokenScope] | None

    @classmethod
    def of(cls, row: ApiToken) -> Self:
        """The view of a row."""
        return cls(
            id=row.id,
            name=row.name,
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            scopes=None if row.scopes is None else [TokenScope(scope) for scope in row.scopes],
        )


class TokenList(BaseModel):
    """One user's tokens, newest first."""

    items: list[TokenView]


class NewToken(BaseModel):
    """A token just made. ``token`` is shown this once."""

    id: str
    name: str
    token: str
    created_at: Timestamp
    expires_at: Timestamp | None
