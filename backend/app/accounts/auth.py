"""Who a request comes from, and whether it may do what it asks.

A request speaks either with an API token (``Authorization: Bearer dxp_…``) or with the session cookie, never with both.
Invariant: with the cookie, nothing is changed for a page that is not ours: an unsafe method needs Sec-Fetch-Site or
Origin to say that the request comes from this very site.
"""

import ipaddress
from typing import Annotated, Any

from fastapi import Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection, Request

from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.accounts.service import AccountService
from app.errors import Forbidden, InsecureTransport, Unauthenticated
from app.routing import Guard
from app.settings import Settings
from deployx_protocol import origins, tokens

COOKIE = "__Host-deployx"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE_SCHEME = APIKeyCookie(name=COOKIE, scheme_name="session", auto_error=False)
_BEARER_SCHEME = HTTPBearer(
    bearerFormat=f"{tokens.API_PREFIX}…", scheme_name="token", description="An API token", auto_error=False
)


class Requires(Guard):
    """The dependency of one route: the principal, if they have ``permission``."""

    def __init__(self, auth: "Auth", permission: Permission) -> None:
        self._auth = auth
        self.permission = permission

    async def __call__(
        self,
        request: Request,
        _cookie: Annotated[Any, Security(_COOKIE_SCHEME)],
        _bearer: Annotated[Any, Security(_BEARER_SCHEME)],
    ) -> Principal:
        """The principal."""
        principal: Principal = await self.admitted(request)
        return principal

    async def admit(self, request: Request) -> Principal:
        """The principal. Raises Unauthenticated and Forbidden."""
        principal = await self._auth.principal(request)
        if not principal.may(self.permission):
            await self._auth.refused(principal, self.permission, f"{request.method} {request.url.path}")
            raise Forbidden(f"Your role, {principal.role}, does not allow this; it needs {self.permission}.")
        return principal


class Auth:
    """Authentication of requests by one account service."""

    def __init__(self, service: AccountService, settings: Settings) -> None:
        self._service = service
        self._public = frozenset(settings.public_url)

    def requires(self, permission: Permission) -> Requires:
        """The dependency for a route that asks for ``permission``."""
        return Requires(self, permission)

    async def principal(self, request: Request) -> Principal:
        """Who is asking. Raises Unauthenticated, and Forbidden (``cross_site``) for another site's request."""
        if "authorization" in request.headers:
            scheme, _, token = request.headers["authorization"].partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("Authorization has to be: Bearer dxp_…")
            return await self._service.authenticate_token(token.strip(), address=address_of(request))
        value = request.cookies.get(COOKIE)
        if not value:
            raise Unauthenticated("Sign in, or send a valid API token.")
        if request.method not in _SAFE_METHODS and not self.is_same_site(request):
            raise _cross_site()
        return await self._service.authenticate_cookie(value, address=address_of(request))

    async def refused(self, principal: Principal, permission: Permission, what: str) -> None:
        """Leave in the record that this user asked for what their role does not allow."""
        await self._service.record_refused(principal, permission, what)

    def is_same_site(self, request: HTTPConnection) -> bool:
        """Whether the browser says that the request comes from a page of this server. Silence is a no."""
        if request.headers.get("sec-fetch-site") in {"same-origin", "none"}:
            return True
        return self.is_own_origin(request, request.headers.get("origin", ""))

    def is_own_origin(self, request: HTTPConnection, origin: str) -> bool:
        """Whether ``origin`` is where this request went, or one of the public addresses."""
        scheme = {"ws": "http", "wss": "https"}.get(request.url.scheme, request.url.scheme)
        try:
            claimed = origins.normalise(origin)
            return claimed in self._public or claimed == origins.normalise(f"{scheme}://{request.headers['host']}")
        except (ValueError, KeyError):
            return False

    def check_login(self, request: Request) -> None:
        """Raises InsecureTransport where a password would travel in the clear, Forbidden when another site asks."""
        if not self._is_private(request):
            raise InsecureTransport(
                "Sign in over https, or at http://127.0.0.1 on the server itself. "
                "Behind a proxy that ends TLS, set DEPLOYX_TRUSTED_PROXIES to its address."
            )
        told = "sec-fetch-site" in request.headers or "origin" in request.headers
        if told and not self.is_same_site(request):
            raise _cross_site()

    def _is_private(self, request: Request) -> bool:
        if request.url.scheme == "https":
            return True
        host = request.headers.get("host", "")
        if not _is_loopback_address(address_of(request)):
            return False
        try:
            own = origins.normalise(f"http://{host}")
            return origins.is_loopback(own) or origins.normalise(f"https://{host}") in self._public
        except ValueError:
            return False


def address_of(request: HTTPConnection) -> str:
    """Where the request comes from: the peer, or whom a trusted proxy names. Empty on a Unix socket."""
    return request.client.host if request.client else ""


def _is_loopback_address(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def _cross_site() -> Forbidden:
    return Forbidden("This request does not come from the dashboard's own page; reload it there.", code="cross_site")
