"""The HTTP client: proxies, connections that the server ends, servers that speak something else."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployx_cli.http import Http, NoAnswer, TimedOut

AWAY = "http://deployx.example.test"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Listener:
    """A TCP server whose connections are handled one after the other by ``handle``."""

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self._handle = handle
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._handle(connection)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def listen() -> Iterator[Callable[[Callable[[socket.socket], None]], Listener]]:
    made: list[Listener] = []

    def start(handle: Callable[[socket.socket], None]) -> Listener:
        made.append(Listener(handle))
        return made[-1]

    yield start
    for listener in made:
        listener.close()


def head(connection: socket.socket) -> str:
    """What comes up to an empty line."""
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            break
        read += piece
    return read.decode()


def test_a_proxy_is_asked_for_other_machines(server: Any, deployx: Any) -> None:
    server.answer = lambda _: (200, {"items": [], "next_cursor": None}, {})
    proxy = {"HTTP_PROXY": server.url.replace("http://", "http://ada:p%40ss@"), "DEPLOYX_TOKEN": "dxp_x"}
    done = deployx("devices", "--json", "--insecure-http", DEPLOYX_URL=AWAY, **proxy)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    [request] = server.requests
    assert request.path.startswith(f"{AWAY}/api/v1/devices?")
    assert request.headers["host"] == "deployx.example.test"
    assert request.headers["proxy-authorization"] == "Basic YWRhOnBAc3M="
    assert request.headers["authorization"] == "Bearer dxp_x"


def test_no_proxy_is_asked_for_this_machine(server: Any, deployx: Any) -> None:
    server.answer = lambda _: (200, {"items": [], "next_cursor": None}, {})
    done = deployx("devices", "--json", DEPLOYX_URL=server.url, DEPLOYX_TOKEN="dxp_x", ALL_PROXY="http://127.0.0.1:1")
    assert (done.returncode, len(server.requests)) == (0, 1), done.stderr
    assert server.requests[0].path.startswith("/api/v1/devices")


@pytest.mark.parametrize(
    ("proxy", "says"), [("socks5://127.0.0.1:1080", "spoken to by http://"), ("http://127.0.0.1:1", "refused")]
)
def test_a_proxy_that_cannot_be_used_is_said(deployx: Any, proxy: str, says: str) -> None:
    done = deployx("devices", "--insecure-http", DEPLOYX_URL=AWAY, DEPLOYX_TOKEN="dxp_x", HTTP_PROXY=proxy)
    assert done.returncode == 69
    assert "cannot be reached" in done.stderr
    assert says in done.stderr


def test_https_goes_through_a_tunnel_whose_refusal_is_said(
    deployx: Any, listen: Callable[[Callable[[socket.socket], None]], Listener]
) -> None:
    heard: list[str] = []

    def refuse(connection: socket.socket) -> None:
        heard.append(head(connection))
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    proxy = f"http://{listen(refuse).address}"
    done = deployx("devices", DEPLOYX_URL="https://deployx.example.test", DEPLOYX_TOKEN="dxp_x", HTTPS_PROXY=proxy)
    assert (done.returncode, "407" in done.stderr) == (69, True), done.stderr
    assert heard[0].startswith("CONNECT deployx.example.test:443 ")
    assert "dxp_x" not in heard[0]


def test_a_connection_that_the_server_ended_is_replaced(
    listen: Callable[[Callable[[socket.socket], None]], Listener],
) -> None:
    heard: list[str] = []
    ended = threading.Event()

    def once(connection: socket.socket) -> None:
        heard.append(head(connection).partition("\r\n")[0])
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)
        ended.set()

    http = Http(f"http://{listen(once).address}", {}, 5)
    for number in range(3):
        assert http.request("GET", f"/{number}").json() == {}
        assert ended.wait(5)
        ended.clear()
    http.close()
    assert heard == [f"GET /{number} HTTP/1.1" for number in range(3)]


def test_who_does_not_answer_in_time_or_speaks_something_else(
    deployx: Any, listen: Callable[[Callable[[socket.socket], None]], Listener]
) -> None:
    def silence(connection: socket.socket) -> None:
        head(connection)
        connection.recv(1)  # until it gives up

    silent = listen(silence)
    http = Http(f"http://{silent.address}", {}, 0.2)
    with pytest.raises(TimedOut):
        http.request("GET", "/")
    http.close()
    other = listen(lambda connection: connection.sendall(b"220 mail.example.test ESMTP\r\n"))
    http = Http(f"http://{other.address}", {}, 5)
    with pytest.raises(NoAnswer):
        http.request("GET", "/")
    http.close()
    done = deployx("devices", DEPLOYX_URL=f"https://{other.address}", DEPLOYX_TOKEN="dxp_x")
    assert (done.returncode, "does not speak TLS" in done.stderr) == (69, True), done.stderr
