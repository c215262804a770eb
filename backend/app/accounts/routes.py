"""The routes about people: signing in and out, API tokens, users."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from app.accounts.auth import COOKIE, Auth, address_of
from app.accounts.own import OwnAccount
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.accounts.schemas import (
    Login,
    NewToken,
    PasswordInput,
    SessionList,
    SessionView,
    TokenInput,
    TokenList,
    TokenView,
    UserList,
    UserView,
)
from app.accounts.service import AccountService
from app.routing import joined

RowId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]


def router(service: AccountService, auth: Auth) -> APIRouter:
    """All of them, under ``/api/v1``."""
    return joined(
        _session_routes(service, auth),
        _own_routes(service.own, auth),
        _token_routes(service, auth),
        _user_routes(service, auth),
    )


def _session_routes(service: AccountService, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/auth", tags=["auth"])
    own = Depends(auth.requires(Permission.ACCOUNT_OWN))

    @routes.post("/login", summary="Sign in; the answer sets the session cookie")
    async def login(body: Login, request: Request, response: Response) -> UserView:
        auth.check_login(request)
        user, value = await service.login(
            body.email,
            body.password,
            address=address_of(request),
            user_agent=request.headers.get("user-agent", ""),
            replaces=request.cookies.get(COOKIE, ""),
        )
        response.set_cookie(
            COOKIE, value, max_age=service.session_lifetime_s, path="/", secure=True, httponly=True, samesite="lax"
        )
        return UserView.of(user)

    @routes.post("/logout", status_code=204, summary="End this session")
    async def logout(response: Response, principal: Annotated[Principal, own]) -> None:
        await service.logout(principal)
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")

    @routes.get("/me", summary="Who is signed in")
    async def me(principal: Annotated[Principal, own]) -> UserView:
        return UserView.of(await service.get_user(principal))

    return routes


def _own_routes(service: OwnAccount, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/auth", tags=["auth"])
    owner = Depends(auth.requires(Permission.ACCOUNT_CHANGE))

    @routes.get("/sessions", summary="Where you are signed in, the latest used first")
    async def list_sessions(principal: Annotated[Principal, owner]) -> SessionList:
        rows = await service.sessions(principal)
        return SessionList(items=[SessionView.of(row, principal.session_id) for row in rows])

    @routes.delete("/sessions/{session_id}", status_code=204, summary="Sign out there, at once")
    async def end_session(session_id: RowId, principal: Annotated[Principal, owner]) -> None:
        await service.end_session(principal, session_id)

    @routes.post("/password", status_code=204, summary="Change your password; your other sessions end")
    async def change_password(body: PasswordInput, principal: Annotated[Principal, owner]) -> None:
        await service.change_password(principal, body.current, body.new)

    return routes


def _token_routes(service: AccountService, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/api-tokens", tags=["api tokens"])
    own = Depends(auth.requires(Permission.TOKENS_OWN))

    @routes.post("", status_code=201, summary="Make an API token; it is shown this once")
    async def create_token(body: TokenInput, principal: Annotated[Principal, own]) -> NewToken:
        row, token = await service.create_token(principal, body.name, body.expires_in_s, body.scopes)
        return NewToken(id=row.id, name=row.name, token=token, created_at=row.created_at, expires_at=row.expires_at)

    @routes.get("", summary="Your API tokens")
    async def list_tokens(principal: Annotated[Principal, own]) -> TokenList:
        return TokenList(items=[TokenView.of(row) for row in await service.list_tokens(principal)])

    @routes.delete("/{token_id}", status_code=204, summary="Delete an API token; it stops working at once")
    async def delete_token(token_id: RowId, principal: Annotated[Principal, own]) -> None:
        await service.delete_token(principal, token_id)

    return routes


def _user_routes(service: AccountService, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/users", tags=["users"])

    @routes.get("", summary="Everyone (administrators)", dependencies=[Depends(auth.requires(Permission.USERS_READ))])
    async def list_users() -> UserList:
        return UserList(items=[UserView.of(user) for user in await service.list_users()])

    return routes
