"""Whether the server of this agent can still be reached: what a release must not have taken away.

A fresh connection, by name, with the certificate verified as any connection of the agent does; what is kept open proves
nothing. A server that answers the handshake and is otherwise down counts as reached: only what is broken on the way to
it is a reason to undo. Plain http, which is for this machine alone, has no handshake: an open connection is enough.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from deployx_agent.connection.dialling import dial
from deployx_agent.connection.socketio_transport import tls_context

ATTEMPT_S = 10.0


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
