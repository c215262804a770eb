"""The server's REST API, as far as the commands need it. Every failure leaves here as a CommandError."""

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from deployx_cli import __version__
from deployx_cli.errors import CodeNeeded, CommandError, NotAllowed, Unreachable, WrongCode, WrongUsage
from deployx_cli.http import Http, NoAnswer, Response, TimedOut

PAGE = 500
COOKIE = "__Host-deployx"
TIMEOUT_S = 30.0
_AUDIT_PART = 5_000


class Api:
    """One server, with one way to show who is asking."""

    def __init__(self, url: str, *, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s
        headers = {"User-Agent": f"deployx/{__version__}", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = Http(url, _encodable(headers), timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def me(self) -> dict[str, Any]:
        """Who is asking."""
        return self.object("GET", "/auth/me")

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

    def sign_in(self, email: str, password: str) -> str:
        """A session. Raises CodeNeeded where the password is not all that it takes."""
        return self._session(self._send("POST", "/auth/login", json={"email": email, "password": password}))

    def second_step(self, challenge: str, code: str) -> str:
        """A session, for the code of a second factor. Raises WrongCode."""
        factor = {"challenge": challenge, "code": code}
        return self._session(self._send("POST", "/auth/login/second-factor", json=factor))

    def _session(self, signed_in: Response) -> str:
        session = signed_in.cookie(COOKIE)
        if not session:
            raise self.foreign()
        return session

    def create_token(self, session: str, name: str) -> dict[str, Any]:
        """Make an API token in a session, and end that; the token outlives it."""
        # It goes back to where it came from, in a request that says (as a browser would) that it is of the same site.
        headers = {"Cookie": f"{COOKIE}={session}", "Origin": self.url, "Sec-Fetch-Site": "same-origin"}
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

    def begin_upload(self, sha256: str, size: int, name: str) -> dict[str, Any]:
        """Announce a file, for the first time or again: how far it is. What is there already is complete."""
        return self.object("POST", "/artifacts/uploads", json={"sha256": sha256, "size": size, "name": name})

    def send_piece(self, upload_id: str, offset: int, piece: bytes, patience_s: float) -> dict[str, Any]:
        """Send what follows. Raises Unreachable when it is to be looked how far the upload is, and gone on from there.

        After the last piece the server looks at all of them: ``patience_s`` is for that."""
        headers = {"Upload-Offset": str(offset)}
        path = f"/artifacts/uploads/{upload_id}"
        return self.object("PATCH", path, content=piece, headers=headers, patience_s=patience_s)

    def audit_lines(self, filters: dict[str, str]) -> Iterator[str]:
        """The audit record as JSON lines, oldest first, a part at a time."""
        after_seq = 0
        while True:
            query = {**filters, "after_seq": str(after_seq), "limit": str(_AUDIT_PART)}
            try:
                lines = self._send("GET", "/audit/export", params=query).body.decode().splitlines()
                after_seq = json.loads(lines[-1])["seq"] if lines else after_seq
            except (ValueError, KeyError, TypeError):
                raise self.foreign() from None
            yield from lines
            if len(lines) < _AUDIT_PART:
                return

    def _send(self, method: str, path: str, **request: Any) -> Response:
        try:
            response = self._http.request(method, f"/api/v1{path}", **request)
        except TimedOut:
            raise Unreachable(f"{self.url} did not answer within {self._timeout_s:.0f} s.") from None
        except NoAnswer as error:
            raise Unreachable(_why_unreachable(self.url, error.__cause__)) from None
        if response.is_success:
            return response
        raise self._refusal(response)

    def _refusal(self, response: Response) -> CommandError:
        if response.is_redirect:
            target = response.headers.get("location", "elsewhere")
            return CommandError(f"{self.url} redirects to {target}. Use that address.")
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict) or "code" not in problem:
            if response.status in (502, 503, 504):
                return Unreachable(f"{self.url} is not ready ({response.status}). Try again later.")
            return self.foreign()
        said = str(problem.get("detail") or problem.get("title") or problem["code"])
        if problem["code"] == "second_factor_required":
            return CodeNeeded(said, str(problem.get("challenge")))
        if problem["code"] == "wrong_code":
            return WrongCode(said)
        if problem["code"] == "unauthenticated":
            return NotAllowed(f"{self.url} does not know this token, or it has expired. Run: deployx login")
        if problem["code"] in ("upload_busy", "wrong_offset", "upload_lost"):
            return Unreachable(said)
        if problem["code"] == "no_device_matched":
            return CommandError(said)
        kinds = {401: NotAllowed, 403: NotAllowed, 422: WrongUsage, 503: Unreachable}
        kind = kinds.get(response.status, CommandError)
        return kind(said)

    def foreign(self) -> CommandError:
        """What to say of an answer that makes no sense."""
        return CommandError(f"{self.url} does not answer like a DeployX server. Check the address.")


def _encodable(headers: dict[str, str]) -> dict[str, str]:
    for value in headers.values():
        if not (value.isascii() and value.isprintable()):
            raise NotAllowed("This is not an API token; it should look like dxp_…")
    return headers


def _why_unreachable(url: str, error: BaseException | None) -> str:
    import ssl  # whoever has an error of it has it imported

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {url} is not trusted: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return f"{url} does not speak TLS as it should; if it is a plain http server, write http://."
    return f"{url} cannot be reached: {str(error) or type(error).__name__}."
