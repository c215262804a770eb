"""How large anything on the wire may be. Characters unless the name says otherwise."""

from typing import Final

AGENT_ID_MAX: Final = 128
HOSTNAME_MAX: Final = 253
PLATFORM_MAX: Final = 128
IP_ADDRESS_MAX: Final = 64
MACHINE_ID_MAX: Final = 128
DEVICE_NAME_MAX: Final = 128
VERSION_MAX: Final = 64
TOKEN_MAX: Final = 512
ORIGIN_MAX: Final = 300
REASON_MAX: Final = 200

FINGERPRINT_FACTS_MAX: Final = 16
FACTS_MAX: Final = 32
FACT_NAME_MAX: Final = 32
FACT_VALUE_MAX: Final = 256

PAYLOAD_DEPTH_MAX: Final = 8
PAYLOAD_NODES_MAX: Final = 1_000
AGENT_MESSAGE_MAX_BYTES: Final = 65_536
"""The largest Engine.IO message either end sends on the agent link; anything bigger goes over HTTP."""

REGISTER_DEADLINE_S: Final = 10
"""A connection that has not registered by then is closed."""

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
