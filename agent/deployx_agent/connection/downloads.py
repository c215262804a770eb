"""What is too large for memory, from the server or from where it sends us, handed on block by block.

Invariants: the bearer goes to the server alone. A redirect is followed to another origin over https only, unless the
server itself is spoken to in the clear. One thread reads each download; when the caller is cancelled its connection is
cut, so the thread ends as well.
"""

import http.client
import socket
from contextlib import suppress
from ssl import SSLContext, create_default_context
from urllib.parse import SplitResult, urljoin, urlsplit

from deployx_agent.connection.background import in_thread
from deployx_agent.connection.transport import RequestError, Sink

STALLED_S = 60.0
"""How long nothing may come before a download has failed."""
_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECTS_MAX = 3


async def download(
    origin: str, peer: tuple[str, int], tls: SSLContext | None, path: str, bearer: str, begin: int, sink: Sink
) -> None:
    """Hand what is at ``path`` of ``origin``, whose address is ``peer``, to ``sink``, from its byte ``begin`` on.

    Raises RequestError, and what the sink raises, which is no OSError: that would be taken for one of the network.
    """
    one = _Download(urlsplit(origin), peer, tls, begin, sink)
    try:
        await in_thread(lambda: one.run(path, bearer), "download")
    except http.client.IncompleteRead:
        raise RequestError("it was cut off") from None
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise RequestError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
    finally:
        one.cut()


class _Download:
    def __init__(
        self, origin: SplitResult, peer: tuple[str, int], tls: SSLContext | None, begin: int, sink: Sink
    ) -> None:
        self._origin = origin
        self._peer = peer
        self._tls = tls
        self._begin = begin
        self._sink = sink
        self._sock: socket.socket | None = None
        self._over = False

    def cut(self) -> None:
        """End it under the hands of its thread."""
        self._over = True
        if (sock := self._sock) is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the TLS socket's own: the thread may be in it

    def run(self, path: str, bearer: str) -> None:
        """In the thread."""
        url, headers = self._origin._replace(path=path), {"Authorization": f"Bearer {bearer}"}
        for _ in range(_REDIRECTS_MAX + 1):
            connection = self._connected(url)
            try:
                target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
                connection.request("GET", target, headers=headers | self._range())
                with connection.getresponse() as response:
                    if response.status not in _REDIRECTS:
                        self._take(response)
                        return
                    url = self._elsewhere(url, response.headers.get("location", ""))
            finally:
                connection.close()
            headers = {}
        raise ValueError("it is redirected again and again")

    def _range(self) -> dict[str, str]:
        # No If-Range: what has this name is this content for ever, while a proxy or a store has tags of its own.
        return {"Accept-Encoding": "identity"} | ({"Range": f"bytes={self._begin}-"} if self._begin else {})

    def _connected(self, url: SplitResult) -> http.client.HTTPConnection:
        host, is_origin = url.hostname or "", url.netloc == self._origin.netloc
        port = url.port or (443 if url.scheme == "https" else 80)
        sock = socket.create_connection(self._peer if is_origin else (host, port), STALLED_S)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if url.scheme == "https":
                tls = self._tls or create_default_context()
                sock = tls.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        if self._over:  # cut before there was anything to cut
            sock.close()
            raise ConnectionAbortedError
        connection = http.client.HTTPConnection(host, port)
        connection.default_port = 443 if url.scheme == "https" else 80  # or Host would name it, which is signed
        connection.auto_open = 0  # never again, and never in the clear
        connection.sock = sock
        return connection

    def _elsewhere(self, url: SplitResult, location: str) -> SplitResult:
        found = urlsplit(urljoin(url.geturl(), location))
        plain = found.scheme == "http" and self._origin.scheme == "http"
        if not location or not found.hostname or not (plain or found.scheme == "https"):
            raise ValueError(f"the server redirects to {found.scheme}://{found.hostname}, which is not https")
        return found

    def _take(self, response: http.client.HTTPResponse) -> None:
        if not self._sink.begin(response.status, {name.lower(): value for name, value in response.headers.items()}):
            return
        while block := response.read1(self._sink.block):
            self._sink.write(block)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
