"""One HTTP/1.1 connection to one server, kept open from request to request.

The standard library's: it is there in a fraction of the time that any other client takes to be imported, which is most
of what a short command costs. Invariant: a request is sent once. One that found its connection closed by the server
while nothing was under way goes over a new one.
"""

import json
import os
import select
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from deployx_cli.address import is_loopback

_REDIRECTS = (301, 302, 303, 307, 308)


class NoAnswer(Exception):
    """There was none, for the reason that `__cause__` is."""


class TimedOut(NoAnswer):
    """There was none in time."""


@dataclass(frozen=True, slots=True)
class Response:
    """What the server answered."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether it did what it was asked for."""
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        """Whether it wants to be asked elsewhere."""
        return self.status in _REDIRECTS

    def json(self) -> Any:
        """Raises ValueError for what is not JSON."""
        return json.loads(self.body)

    def cookie(self, name: str) -> str:
        """The value of a cookie that is set; empty if it is not."""
        for line in self.headers.get_all("set-cookie", []):
            found, _, value = line.partition(";")[0].partition("=")
            if found.strip() == name:
                return str(value)
        return ""


class Http:
    """Speaks to the server at ``url``, through the proxy that the environment names for it, if any."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float) -> None:
        self._target = urlsplit(url)
        self._headers = dict(headers)
        self._timeout_s = timeout_s
        self._prefix = ""
        """Before each path: through a proxy for plain http it is the server's address."""
        self._connection: HTTPConnection | None = None

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience_s: float = 0.0,
    ) -> Response:
        """Ask, and read the whole answer; ``patience_s`` is how much longer than usual it may take.

        The body is ``json``, or ``content`` as it is. Raises NoAnswer.
        """
        kind = "application/octet-stream" if json is None else "application/json"
        content = content if json is None else _dumped(json)
        typed = {} if content is None else {"Content-Type": kind}
        target = f"{path}?{urlencode(params)}" if params else path
        try:
            connection = self._connected(self._timeout_s + patience_s)
            connection.request(
                method, f"{self._prefix}{target}", content, {**self._headers, **(headers or {}), **typed}
            )
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        except TimeoutError as error:
            self.close()
            raise TimedOut from error
        except (OSError, HTTPException) as error:
            self.close()
            raise NoAnswer from error

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._connection:
            self._connection.close()

    def _connected(self, timeout_s: float) -> HTTPConnection:
        if self._connection is None:
            self._connection = self._new()
        sock = self._connection.sock
        if sock is not None and select.select([sock], [], [], 0)[0]:
            self._connection.close()  # nothing is owed to us, so this is the server's goodbye
        self._connection.timeout = timeout_s
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_s)
        return self._connection

    def _new(self) -> HTTPConnection:
        target, proxy = self._target, _proxy(self._target)
        kind = HTTPSConnection if target.scheme == "https" else HTTPConnection
        if proxy is None:
            return kind(target.hostname or "", target.port)
        headers = _proxy_authorization(proxy)
        connection = kind(proxy.hostname or "", proxy.port or 80)
        if target.scheme == "https":
            connection.set_tunnel(target.hostname or "", target.port or 443, headers)
        else:
            self._prefix = f"http://{target.netloc}"
            self._headers |= headers
        return connection


def _proxy(target: SplitResult) -> SplitResult | None:
    """A proxy is for other machines, never for this one. Raises OSError for one that cannot be used."""
    named = any(name.lower().endswith("_proxy") for name in os.environ) or sys.platform in ("win32", "darwin")
    if not named or is_loopback(target.geturl()):
        return None
    from urllib.request import getproxies, proxy_bypass  # seldom needed, and slow to import

    proxies = getproxies()
    found = proxies.get(target.scheme) or proxies.get("all")
    if not found or proxy_bypass(target.netloc):
        return None
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise OSError(f"the proxy {proxy.scheme}://{proxy.hostname} is not one that is spoken to by http://")
    return proxy


def _proxy_authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    from base64 import b64encode

    secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(secret.encode()).decode()}"}


def _dumped(body: Any) -> bytes:
    return json.dumps(body).encode()
