"""Whether the server of this agent can still be reached, at any of its addresses: what a release must not have taken
away.

A fresh connection, by name, with the certificate verified as any connection of the agent does; what is kept open proves
nothing. A server that answers the handshake and is otherwise down counts as reached: only what is broken on the way to
it is a reason to undo. Plain http, which is for this machine alone, has no handshake: an open connection is enough.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from deployx_agent.connection.dialling import dial
from deployx_agent.connection.socketio_transport import tls_context
from deployx_protocol import origins

ATTEMPT_S = 10.0
OTHERS_MAX = 8


def others(public_urls: Iterable[str], own: str) -> list[str]:
    """Those of ``public_urls`` that can confirm a release beside ``own``. Plain http proves nothing about who answers,
    so it counts on this machine alone, as it does for ``own``."""
    found: list[str] = []
    for url in public_urls:
        try:
            origin = origins.bare(url)
        except ValueError:
            continue
        proves = origin.startswith("https:") or (origins.is_loopback(origin) and origins.is_loopback(own))
        if proves and origin not in (own, *found):
            found.append(origin)
    return found[:OTHERS_MAX]


async def none_reached(addresses: Sequence[str], ca_file: Path | None, within_s: float) -> str:
    """Why none of ``addresses`` answers ``within_s``; empty as soon as one does. All are tried at once."""
    tries = {asyncio.ensure_future(unreachable(one, ca_file, within_s)): one for one in addresses}
    said: dict[str, str] = {}
    try:
        left = set(tries)
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                if not one.result():
                    return ""
                said[tries[one]] = one.result().rstrip(".")
    finally:
        for one in tries:
            one.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
    if len(said) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{one}: {said[one]}" for one in addresses)


async def unreachable(origin: str, ca_file: Path | None, within_s: float) -> str:
    """Why ``origin`` does not answer ``within_s``; empty if it does."""
    within_s = min(within_s, ATTEMPT_S)
    address = urlsplit(origin)
    host, secure = address.hostname or "", address.scheme == "https"
    try:
        async with asyncio.timeout(within_s):
            sock = await dial(host, address.port or (443 if secure else 80))
            if not secure:
                sock.close()
                return ""
            try:
                tls = tls_context(ca_file)  # read anew: the authorities may be what has changed
                _, writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=host)
            except BaseException:
                sock.close()
                raise
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            return ""
    except TimeoutError:
        return f"no answer within {within_s:.3g} s"
    except (OSError, UnicodeError) as error:  # ssl.SSLError is an OSError
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
