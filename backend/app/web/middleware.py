"""What every HTTP answer carries, whoever made it: a request id, the security headers, ``no-store`` on the API.

Invariant: an exception ends here. It is logged once, with the request's id; the client gets a problem without a word of
it, or a cut connection when the answer had begun.
"""

import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.artifacts.views import PIECE_MAX_BYTES
from app.web import policy, problems
from app.web.metrics import Metrics
from deployx_protocol import limits, software

MAX_BODY_BYTES = 65_536
"""No route takes more, but for those below. ``FastAPI(max_body_size=…)`` would answer in plain text, without our
headers."""
LARGER_BODIES = {
    "/api/v1/runs": 4 << 20,  # a script of the largest size as JSON, and a command that is too long, to say so
    "/api/v1/saved-commands": 4 << 20,
    "/api/agent/v1/tasks/": limits.OUTPUT_POST_MAX_BYTES,
    "/api/agent/v1/software": software.POST_MAX_BYTES,
    "/api/v1/schedules": 4 << 20,  # as of a run, which it may hold
    "/api/v1/releases": 2 * limits.RELEASE_MAX_BYTES,
    "/api/v1/artifacts/uploads/": PIECE_MAX_BYTES,  # which goes to the disk as it comes
}
"""Path prefix → the largest body there, in bytes."""

log = structlog.get_logger()


class RequestFrame:
    """Pure ASGI, around everything that speaks HTTP."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                _add_headers(MutableHeaders(scope=message), scope, request_id)
            await send(message)

        begun = time.perf_counter()
        bounded = _Bounded(receive, Headers(scope=scope).get("content-length", ""), _max_body_bytes(scope["path"]))
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, bounded, framed)
            except Exception:
                log.exception("request.crashed", method=scope["method"], path=scope["path"])
                if status:
                    raise
                await problems.unexpected(request_id)(scope, receive, framed)
            if not status:  # a library of websockets takes a few requests for its own, and says nothing
                await problems.no_answer(request_id)(scope, receive, framed)
            took_s = time.perf_counter() - begun
            log.debug("request.answered", method=scope["method"], path=scope["path"], status=status, took_s=took_s)
        self._metrics.http_requests.labels(scope["method"] if scope["method"] in _METHODS else "other", status).inc()
        self._metrics.http_seconds.observe(took_s)


class _Bounded:
    """A request's body, until it is too large: then HTTPException 413, which becomes a problem further in."""

    def __init__(self, receive: Receive, declared: str, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._too_large = declared.isdecimal() and int(declared[:20]) > max_bytes
        self._received = 0

    async def __call__(self) -> Message:
        """The next piece of it."""
        if self._too_large:
            raise HTTPException(413)
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._max_bytes:
            raise HTTPException(413)
        return message


def _max_body_bytes(path: str) -> int:
    return next((limit for prefix, limit in LARGER_BODIES.items() if path.startswith(prefix)), MAX_BODY_BYTES)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _add_headers(headers: MutableHeaders, scope: Scope, request_id: str) -> None:
    headers["x-request-id"] = request_id
    for name, value in policy.HEADERS.items():
        headers.setdefault(name, value)
    if scope["scheme"] == "https":
        headers.setdefault("strict-transport-security", policy.HSTS)
    if scope["path"].startswith("/api"):
        headers.setdefault("cache-control", "no-store")
