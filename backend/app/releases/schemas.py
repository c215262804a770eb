"""What the routes about releases take and answer."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.accounts.schemas import Input, Text, Timestamp
from app.tasks.schemas import Described
from deployx_protocol import dsse, limits
from deployx_protocol.deployments import DeploymentState
from deployx_protocol.releases import Kind

PAYLOAD_MAX = limits.RELEASE_MAX_BYTES * 4 // 3 + 4
"""As base64."""


class ReleaseSignature(Input, Described):
    """One signature of a DSSE envelope."""

    sig: Annotated[Text, Field(min_length=1, max_length=200)]
    """Base64 of an Ed25519 signature."""
    keyid: Annotated[Text, Field(min_length=1, max_length=64)]
    """The start of the SHA-256 of the public key, 32 hexadecimal digits."""


Signatures = Annotated[list[ReleaseSignature], Field(max_length=dsse.SIGNATURES_MAX)]


class ReleaseInput(Input, Described):
    """A release as `deployx release create` makes it: a DSSE envelope that nobody need have signed yet."""

    payload: Annotated[Text, Field(max_length=PAYLOAD_MAX)]
    """Base64 of the manifest as JSON, in the one form that is signed."""
    payloadType: Annotated[Text, Field(max_length=200)]
    signatures: Signatures = []


class SignaturesInput(Input, Described):
    """Signatures to add."""

    signatures: Annotated[list[ReleaseSignature], Field(min_length=1, max_length=dsse.SIGNATURES_MAX)]


class Signer(Described):
    """Whose signature a release has."""

    key_id: str
    name: str
    """As the policies of your devices call the key; empty where none names it."""
    good: bool | None
    """Whether it is over this release; null for a key that the server does not know. A device looks for itself."""


class PreviousView(Described):
    """The release that a device goes back to."""

    id: str
    version: str
    number: int


class ReleaseView(BaseModel):
    """A release. The server cannot vouch for its signatures: each device checks them against its own policy."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: str
    name: str
    version: str
    number: int
    kind: Kind
    platforms: list[str]
    description: str
    sha256: str
    """Of the payload."""
    size: int
    artifacts_bytes: int
    """Of all its artifacts together."""
    signers: list[Signer]
    previous: PreviousView | None
    created_by: str
    created_at: Timestamp
    deployments: int
    """How many deployments of yours bring it to devices, or did."""


class ReleaseDeployment(BaseModel):
    """A deployment of yours that brings a release to devices, or did."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    state: DeploymentState
    total: int
    created_by: str
    created_at: Timestamp


class ReleaseDetail(ReleaseView):
    """A release with all that it says, and as it was signed."""

    manifest: dict[str, Any]
    payload: str
    """Base64: with `payloadType` and `signatures` it is the DSSE envelope."""
    payloadType: str
    signatures: list[ReleaseSignature]
    used_by: list[ReleaseDeployment]
    """The newest deployments of it that are yours to see."""


class ReleaseList(BaseModel):
    """A page of releases."""

    items: list[ReleaseView]
    next_cursor: str | None


class MissingArtifact(Described):
    """An artifact that has to be uploaded first."""

    name: str
    sha256: str
    size: int


class ReleaseProblem(Described):
    """Why a release would be refused."""

    code: str
    message: str


class ReleaseCheck(Described):
    """What would become of a release."""

    sha256: str
    exists: str | None
    """The id of the release that it is, if it is there already."""
    missing: list[MissingArtifact]
    problem: ReleaseProblem | None
    """Null: it would be taken, once nothing is missing."""
