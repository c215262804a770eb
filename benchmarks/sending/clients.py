"""Clients that read a file over HTTP and keep none of it: the kernel drops the bytes, so servers are what is measured.

It is a program of its own, with a thread for each client; it prints the seconds from first request to last byte.
"""

import contextlib
import json
import socket
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

BLOCK = 1 << 20
STALLED_S = 120.0


def _read(url: str, headers: dict[str, str], size: int, start: threading.Barrier, failures: list[str]) -> None:
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname, address.port), STALLED_S) as sock:
            lines = [f"GET {address.path} HTTP/1.1", f"Host: {address.netloc}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            start.wait()
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := sock.recv(4096)):
                    raise OSError(f"no answer: {head!r}")
                head += more
            if not head.startswith(b"HTTP/1.1 200 "):
                raise OSError(f"answered {head[:200]!r}")
            left = size - (len(head) - head.index(b"\r\n\r\n") - 4)
            buffer = bytearray(BLOCK)
            while left > 0:
                if not (count := sock.recv_into(buffer, min(BLOCK, left), socket.MSG_TRUNC)):
                    raise OSError(f"{left} bytes are missing")
                left -= count
    except (OSError, threading.BrokenBarrierError) as error:
        start.abort()
        failures.append(str(error))


def main(task: dict[str, Any]) -> int:
    """Read ``task["url"]`` as often at once as ``task["clients"]`` says."""
    start, failures = threading.Barrier(task["clients"] + 1), list[str]()
    arguments = (task["url"], task["headers"], task["size"], start, failures)
    threads = [threading.Thread(target=_read, args=arguments) for _ in range(task["clients"])]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):
        start.wait()
    begun = time.monotonic()
    for thread in threads:
        thread.join()
    if failures:
        print(failures[0], file=sys.stderr)
        return 1
    print(time.monotonic() - begun)
    return 0


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
