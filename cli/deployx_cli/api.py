"""The server's REST API, as far as the commands need it. Every failure leaves here as a CommandError."""

import ssl
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx2

from deployx_cli import __version__
from deployx_cli.address import is_loopback
from deployx_cli.errors import CommandError, NotAllowed, Unreachable, WrongUsage

PAGE = 500
COOKIE = "__Host-deployx"
_TIMEOUT_S = 30.0


class Api:
    """One server, with one way to show who is asking."""

    def __init__(self, url: str, *, token: str = "") -> None:
        self.url = url
        headers = {"User-Agent": f"deployx/{__version__}", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # A proxy from the environment is for other machines, never for this one.
        self._client = httpx2.Client(
            base_url=url, headers=_encodable(headers), timeout=_TIMEOUT_S, trust_env=not is_loopback(url)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def me(self) -> dict[str, Any]:
        """Who is asking."""
        return self.object("GET", "/auth/me")

    def devices(self, filters: dict[str, str]) -> Iterator[dict[str, Any]]:
        """All devices that match."""
        return self.pages("/devices", filters)

    def pages(self, path: str, filters: dict[str, str]) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page."""
        cursor = ""
        while True:
            query = {"limit": str(PAGE), **filters, **({"cursor": cursor} if cursor else {})}
            page = self.object("GET", path, params=query)
            items = page.get("items")
            if not isinstance(items, list):
                raise self.foreign()
            yield from items
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return

    def create_token(self, email: str, password: str, name: str) -> dict[str, Any]:
        """Sign in, make an API token, sign out again; the token outlives the session."""
        signed_in = self._send("POST", "/auth/login", json={"email": email, "password": password})
        session = signed_in.cookies.get(COOKIE)
        if not session:
            raise self.foreign()
        # `__Host-` cookies are Secure: a client sends none over http on its own. This one goes back to where it came
        # from, in a request that says (as a browser would) that it comes from the same site.
        headers = {"Cookie": f"{COOKIE}={session}", "Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        self._client.cookies.clear()
        try:
            return self.object("POST", "/api-tokens", json={"name": name}, headers=headers)
        finally:
            self._send("POST", "/auth/logout", headers=headers)

    def delete_token(self, token_id: str) -> None:
        """Make a token worthless."""
        self.delete(f"/api-tokens/{token_id}")

    def delete(self, path: str) -> None:
        """Delete what is there."""
        self._send("DELETE", path)

    def object(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """What the server answers, a JSON object."""
        response = self._send(method, path, **request)
        try:
            body = response.json()
        except ValueError:
            raise self.foreign() from None
        if not isinstance(body, dict):
            raise self.foreign()
        return body

    def _send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        try:
            response = self._client.request(method, f"/api/v1{path}", **request)
        except httpx2.TimeoutException:
            raise Unreachable(f"{self.url} did not answer within {_TIMEOUT_S:.0f} s.") from None
        except httpx2.RequestError as error:
            raise Unreachable(_why_unreachable(self.url, error)) from None
        if response.is_success:
            return response
        raise self._refusal(response)

    def _refusal(self, response: httpx2.Response) -> CommandError:
        if response.is_redirect:
            target = response.headers.get("location", "elsewhere")
            return CommandError(f"{self.url} redirects to {target}. Use that address.")
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict) or "code" not in problem:
            if response.status_code in (502, 503, 504):
                return Unreachable(f"{self.url} is not ready ({response.status_code}). Try again later.")
            return self.foreign()
        said = str(problem.get("detail") or problem.get("title") or problem["code"])
        if response.status_code == 401 and problem["code"] != "invalid_credentials":
            return NotAllowed(f"{self.url} does not know this token, or it has expired. Run: deployx login")
        if problem["code"] == "no_device_matched":
            return CommandError(said)
        kinds = {401: NotAllowed, 403: NotAllowed, 422: WrongUsage, 503: Unreachable}
        kind = kinds.get(response.status_code, CommandError)
        return kind(said)

    def foreign(self) -> CommandError:
        """What to say of an answer that makes no sense."""
        return CommandError(f"{self.url} does not answer like a DeployX server. Check the address.")


def _encodable(headers: dict[str, str]) -> dict[str, str]:
    for value in headers.values():
        if not (value.isascii() and value.isprintable()):
            raise NotAllowed("This is not an API token; it should look like dxp_…")
    return headers


def _why_unreachable(url: str, error: httpx2.RequestError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The certificate of {url} is not trusted: {cause.verify_message}."
        if isinstance(cause, ssl.SSLError):
            return f"{url} does not speak TLS as it should; if it is a plain http server, write http://."
        cause = cause.__cause__ or cause.__context__
    return f"{url} cannot be reached: {str(error) or type(error).__name__}."
