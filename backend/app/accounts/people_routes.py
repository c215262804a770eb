"""The routes about people, for administrators: users and invitations; and what an invited one does with a link."""

from typing import Annotated

from fastapi import Depends, Path, Request

from app.accounts.auth import Auth, address_of
from app.accounts.invitations import Invitations
from app.accounts.people import People
from app.accounts.permissions import Permission, Role
from app.accounts.principal import Principal
from app.accounts.schemas import (
    InvitationAnswer,
    InvitationInput,
    InvitationList,
    InvitationToken,
    InvitationView,
    InvitedView,
    NewInvitation,
    PersonChange,
    PersonList,
    PersonView,
    UserView,
)
from app.accounts.service import check_email
from app.routing import Router, joined

RowId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]
UserId = Annotated[int, Path(ge=1, le=2**31 - 1)]


def router(people: People, invitations: Invitations, auth: Auth) -> Router:
    """All of them, under ``/api/v1``."""
    return joined(_user_routes(people, auth), _invitation_routes(invitations, auth), _invited_routes(invitations, auth))


def _user_routes(service: People, auth: Auth) -> Router:
    routes = Router(prefix="/api/v1/users", tags=["users"])
    manager = Depends(auth.requires(Permission.USERS_MANAGE))

    @routes.get("", summary="Everyone (administrators)", dependencies=[Depends(auth.requires(Permission.USERS_READ))])
    async def list_users() -> PersonList:
        return PersonList(items=[PersonView.of(user) for user in await service.all()])

    @routes.patch("/{user_id}", summary="Change somebody's role, shut them out, or let them in again")
    async def change_user(*, principal: Principal = manager, user_id: UserId, body: PersonChange) -> PersonView:
        return PersonView.of(await service.change(principal, user_id, role=body.role, disabled=body.disabled))

    return routes


def _invitation_routes(service: Invitations, auth: Auth) -> Router:
    routes = Router(prefix="/api/v1/invitations", tags=["users"])
    manager = Depends(auth.requires(Permission.USERS_MANAGE))

    @routes.post(
        "", status_code=201, summary="Invite somebody; the link is shown this once, and sent by nobody but you"
    )
    async def create_invitation(*, principal: Principal = manager, body: InvitationInput) -> NewInvitation:
        made, link = await service.create(principal, check_email(body.email), body.role, body.expires_in_s)
        return NewInvitation(**InvitationView.of(made).model_dump(), link=link)

    @routes.get("", summary="Invitations, newest first")
    async def list_invitations(*, _principal: Principal = manager) -> InvitationList:
        return InvitationList(items=[InvitationView.of(one) for one in await service.all()])

    @routes.delete("/{invitation_id}", status_code=204, summary="Revoke an invitation")
    async def revoke_invitation(*, principal: Principal = manager, invitation_id: RowId) -> None:
        await service.revoke(principal, invitation_id)

    return routes


def _invited_routes(service: Invitations, auth: Auth) -> Router:
    routes = Router(prefix="/api/v1/auth/invitation", tags=["auth"])

    @routes.post("", summary="Whom an invitation is for")
    async def look_at_invitation(body: InvitationToken, request: Request) -> InvitedView:
        auth.check_login(request)
        row = await service.look(body.token)
        return InvitedView(email=row.email, role=Role(row.role), expires_at=row.expires_at)

    @routes.post("/accept", status_code=201, summary="Become a user; then sign in")
    async def accept_invitation(body: InvitationAnswer, request: Request) -> UserView:
        auth.check_login(request)
        return UserView.of(await service.accept(body.token, body.password, address=address_of(request)))

    return routes
