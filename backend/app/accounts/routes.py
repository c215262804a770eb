"""The routes about people: signing in and out, API tokens, users."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response

from app.accounts import people_routes
from app.accounts.auth import COOKIE, Auth, address_of
from app.accounts.models import User
from app.accounts.own import OwnAccount
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.accounts.schemas import (
    CodeInput,
    Login,
    NewToken,
    PasswordInput,
    ProofInput,
    RecoveryCodes,
    SecondFactor,
    SessionList,
    SessionView,
    TokenInput,
    TokenList,
    TokenView,
    TwoFactorOff,
    TwoFactorSetup,
    TwoFactorView,
    UserView,
)
from app.accounts.service import AccountService
from app.accounts.sessions import Browser
from app.accounts.two_factor import TwoFactor
from app.routing import Router, joined

RowId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]


def router(service: AccountService, auth: Auth) -> Router:
    """All of them, under ``/api/v1``."""
    return joined(
        _session_routes(service, auth),
        _own_routes(service.own, auth),
        _two_factor_routes(service.own, service.two_factor, auth),
        _token_routes(service, auth),
        people_routes.router(service.people, service.invitations, auth),
    )


def _session_routes(service: AccountService, auth: Auth) -> Router:
    routes = Router(prefix="/api/v1/auth", tags=["auth"])
    own = Depends(auth.requires(Permission.ACCOUNT_OWN))

    def signed_in(user: User, value: str, response: Response) -> UserView:
        response.set_cookie(
            COOKIE, value, max_age=service.session_lifetime_s, path="/", secure=True, httponly=True, samesite="lax"
        )
        return UserView.of(user)

    @routes.post(
        "/login",
        summary="Sign in; the answer sets the session cookie",
        description="Where there is a second factor the answer is the problem `second_factor_required`, with a "
        "`challenge` for the second step.",
    )
    async def login(body: Login, request: Request, response: Response) -> UserView:
        auth.check_login(request)
        browser = _browser(request)
        user, value = await service.login(
            body.email,
            body.password,
            address=browser.address,
            user_agent=browser.user_agent,
            replaces=browser.replaces,
        )
        return signed_in(user, value, response)

    @routes.post("/login/second-factor", summary="The second step of signing in; the answer sets the session cookie")
    async def second_factor(body: SecondFactor, request: Request, response: Response) -> UserView:
        auth.check_login(request)
        user, value = await service.second_step.sign_in(body.challenge, body.code, _browser(request))
        return signed_in(user, value, response)

    @routes.post("/logout", status_code=204, summary="End this session")
    async def logout(response: Response, principal: Annotated[Principal, own]) -> None:
        await service.logout(principal)
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")

    @routes.get("/me", summary="Who is signed in")
    async def me(principal: Annotated[Principal, own]) -> UserView:
        return UserView.of(await service.get_user(principal))

    return routes


def _own_routes(service: OwnAccount, auth: Auth) -> Router:
    routes = Router(prefix="/api/v1/auth", tags=["auth"])
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

    @routes.post("/proof", status_code=204, summary="Show again that it is you; it counts for five minutes")
    async def prove(body: ProofInput, principal: Annotated[Principal, owner]) -> None:
        await service.prove(principal, body.password, body.code)

    return routes


def _two_factor_routes(own: OwnAccount, service: TwoFactor, auth: Auth) -> Router:
    routes = Router(prefix="/api/v1/auth/two-factor", tags=["auth"])
    owner = Depends(auth.requires(Permission.ACCOUNT_CHANGE))

    @routes.get("", summary="Whether you sign in with a second factor")
    async def read_two_factor(principal: Annotated[Principal, owner]) -> TwoFactorView:
        return TwoFactorView.of(await service.status(principal))

    @routes.post("", status_code=201, summary="Begin to set up an authenticator; its secret is shown this once")
    async def begin_two_factor(principal: Annotated[Principal, owner]) -> TwoFactorSetup:
        return TwoFactorSetup.of(await service.begin(principal))

    @routes.post("/confirm", summary="Turn it on, with a code; your other sessions end")
    async def confirm_two_factor(body: CodeInput, principal: Annotated[Principal, owner]) -> RecoveryCodes:
        return RecoveryCodes(codes=await service.confirm(principal, body.code))

    @routes.post("/recovery-codes", summary="Make other recovery codes; those until now are no good any more")
    async def renew_recovery_codes(principal: Annotated[Principal, owner]) -> RecoveryCodes:
        return RecoveryCodes(codes=await service.renew_recovery_codes(principal))

    @routes.post("/off", status_code=204, summary="Sign in with the password alone; your other sessions end")
    async def turn_off_two_factor(body: TwoFactorOff, principal: Annotated[Principal, owner]) -> None:
        await own.turn_off_two_factor(principal, body.password, body.code)

    return routes


def _browser(request: Request) -> Browser:
    return Browser(address_of(request), request.headers.get("user-agent", ""), request.cookies.get(COOKIE, ""))


def _token_routes(service: AccountService, auth: Auth) -> Router:
    routes = Router(prefix="/api/v1/api-tokens", tags=["api tokens"])
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
