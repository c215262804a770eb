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

TAGS_MAX: Final = 32
TAG_NAME_MAX: Final = 64
TAG_VALUE_MAX: Final = 128

PAYLOAD_DEPTH_MAX: Final = 8
PAYLOAD_NODES_MAX: Final = 1_000
AGENT_MESSAGE_MAX_BYTES: Final = 65_536
"""The largest Engine.IO message either end sends on the agent link; anything bigger goes over HTTP."""

ID_LENGTH: Final = 36
"""A UUID with its hyphens."""
SECONDS_MAX: Final = 10 * 365 * 86_400
COMMAND_MAX_BYTES: Final = 16_384
"""Of an argv with its separators, or of a shell line; what is longer is a script."""
SCRIPT_MAX_BYTES: Final = 1_048_576
ENV_MAX: Final = 64
ENV_MAX_BYTES: Final = 16_384
RUN_TIMEOUT_MAX_S: Final = 7 * 86_400
RUN_EXPIRES_MAX_S: Final = 30 * 86_400
SIGNED_DEVICES_MAX: Final = 500
"""On how many devices a signed run may be: each of them is named in what is signed, and gets all of it."""
POLICY_MAX_BYTES: Final = 24_576
"""Of what a machine reports of its policy."""
RELEASE_MAX_BYTES: Final = 262_144
"""Of the payload of a release: its manifest as JSON."""
OUTPUT_QUOTA_MAX_BYTES: Final = 1 << 30
"""The most output of one task that may be kept."""
TASK_CODE_MAX: Final = 64
TASK_MESSAGE_MAX: Final = 500
CHUNK_MAX_BYTES: Final = 32_768
"""Of one chunk of output; as base64 it fits a message with room to spare."""
CHUNK_BYTES: Final = 8_192
"""So much agents put into one, and into one message: for as long as a connection is open its server keeps room for the
largest message that came over it."""
UPDATE_OUTPUT_MAX_BYTES: Final = 4_096
"""Of the output that goes with the report of a task's end."""
OUTPUT_PREVIEW_BYTES: Final = 262_144
"""How much of a task's output goes over the link; the rest is posted."""
OUTPUT_POST_MAX_BYTES: Final = 1_048_576
"""Of one post of frames."""

REGISTER_DEADLINE_S: Final = 10
"""A connection that has not registered by then is closed."""

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
