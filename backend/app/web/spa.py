"""The built dashboard, as files of the wheel (``app/web/static``) or of a checkout (``frontend/dist``).

Invariant: a client's path is only ever a key into the list of files that were there; no path is built from it. A page
gets a fresh nonce each time; an asset, whose name holds its hash, is kept by browsers for good.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.routing import Router
from app.web import policy

NONCE_PLACEHOLDER = "__CSP_NONCE__"
_IN_WHEEL = Path(__file__).parent / "static"
_IN_CHECKOUT = Path(__file__).parents[3] / "frontend" / "dist"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_COMPRESSED = frozenset({".css", ".html", ".js", ".json", ".map", ".svg", ".txt", ".webmanifest"})
_RESERVED = ("api/", "assets/", "socket.io/", "ui/")
_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>DeployX</title>
<h1>The dashboard is not built</h1>
<p>The server is running. Build the dashboard with <code>make setup</code> in the checkout, then reload this page.</p>
</html>
"""


@dataclass(frozen=True)
class File:
    """One file, in memory."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        """Its type, from its ending."""
        return _TYPES.get(Path(self.name).suffix, "application/octet-stream")

    @cached_property
    def zipped(self) -> bytes | None:
        """Its content, compressed, where that helps."""
        return gzip.compress(self.content, 6, mtime=0) if Path(self.name).suffix in _COMPRESSED else None

    @cached_property
    def etag(self) -> str:
        """Changes with the content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:20]}"'


class Dashboard:
    """The files of one build; read again when a new build has replaced ``index.html``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built_at = -1
        self._files: dict[str, File] = {}

    def file(self, name: str) -> File | None:
        """The file of that name (``assets/x.js``), if the build has it."""
        self._refresh()
        return self._files.get(name)

    def page(self, nonce: str) -> str | None:
        """The page, for one response; None when there is no build."""
        index = self.file("index.html")
        return index.content.decode().replace(NONCE_PLACEHOLDER, nonce) if index else None

    def _refresh(self) -> None:
        try:
            built_at = (self._folder / "index.html").stat().st_mtime_ns
        except OSError:
            self._files, self._built_at = {}, -1
            return
        if built_at != self._built_at:
            paths = [path for path in self._folder.rglob("*") if path.is_file()]
            names = [path.relative_to(self._folder).as_posix() for path in paths]
            self._files = {name: File(name, path.read_bytes()) for name, path in zip(names, paths, strict=True)}
            self._built_at = built_at


def find() -> Dashboard:
    """The dashboard of this installation."""
    return Dashboard(_IN_WHEEL if (_IN_WHEEL / "index.html").exists() else _IN_CHECKOUT)


def router(dashboard: Dashboard) -> Router:
    """Everything that no other route answers; include it last."""
    routes = Router(include_in_schema=False)

    @routes.api_route("/{path:path}", methods=["GET", "HEAD"])
    def serve(path: str, request: Request) -> Response:
        file = dashboard.file(path) if path != "index.html" else None
        if file:
            return _file_response(file, request)
        if f"{path}/".startswith(_RESERVED) or "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(404)
        return _page_response(dashboard)

    return routes


def _file_response(file: File, request: Request) -> Response:
    immutable = file.name.startswith("assets/")
    headers = {
        "cache-control": "public, max-age=31536000, immutable" if immutable else "no-cache",
        "etag": file.etag,
        "vary": "accept-encoding",
    }
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = file.content
    if file.zipped and "gzip" in request.headers.get("accept-encoding", ""):
        content = file.zipped
        headers["content-encoding"] = "gzip"
    return Response(content, media_type=file.media_type, headers=headers)


def _page_response(dashboard: Dashboard) -> Response:
    nonce = policy.new_nonce()
    page = dashboard.page(nonce)
    headers = {"content-security-policy": policy.for_page(nonce), "cache-control": "no-cache"}
    return HTMLResponse(page or _NOT_BUILT, 200 if page else 503, headers)
