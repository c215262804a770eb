"""Whether a registration was signed by the key that it names, for this server and on this connection.

The signature covers the origin dialled and the connection's sid (see ``deployx_protocol.signing``), so it can be
replayed neither elsewhere nor later.
"""

from collections.abc import Collection

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from app.devices.outcomes import Refused
from deployx_protocol import PROTOCOL_VERSION
from deployx_protocol.codes import Code
from deployx_protocol.messages import AgentRegister
from deployx_protocol.signing import register_bytes


def check(message: AgentRegister, sid: str, origins: Collection[str]) -> Refused | None:
    """Why ``message`` is refused; None if it may go on. A client without a key has nothing to prove here."""
    if not message.keyed:
        return None
    if message.protocol > PROTOCOL_VERSION:
        return Refused(
            Code.PROTOCOL_UNSUPPORTED,
            f"This server speaks protocol {PROTOCOL_VERSION}, the agent {message.protocol}: upgrade the server.",
        )
    if message.origin not in origins:
        return Refused(
            Code.WRONG_ORIGIN,
            f"The agent dialled {message.origin}, which is none of this server's addresses. "
            "Dial one of DEPLOYX_PUBLIC_URL, or add it there.",
        )
    try:
        VerifyKey(bytes.fromhex(message.public_key)).verify(
            register_bytes(message, sid), bytes.fromhex(message.signature)
        )
    except (BadSignatureError, ValueError):
        return Refused(Code.INVALID_CREDENTIALS, "The signature was not made with this key for this connection.")
    return None
