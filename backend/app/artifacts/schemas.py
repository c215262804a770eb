"""What people send and get about artifacts."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deployx_protocol import limits

NAME_MAX = 255


class UploadInput(BaseModel):
    """A file that is going to be uploaded."""

    model_config = ConfigDict(extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of all of its bytes, hexadecimal, in lower case."""
    size: Annotated[int, Field(ge=0, le=limits.INT64_MAX, strict=True)]
    name: Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
    """What people call it; the server never makes a path of it."""

    @field_validator("name")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable() or not value.strip():
            raise ValueError("a name has printable characters only")
        return value


class ArtifactView(BaseModel):
    """An artifact."""

    sha256: str
    size: int
    name: str
    created_at: datetime
    used_by: int
    """How many releases use it. One that none uses is deleted after a while."""


class ArtifactPage(BaseModel):
    """A page of artifacts, the newest first."""

    items: list[ArtifactView]
    next_cursor: str | None


class UploadView(BaseModel):
    """An upload. As soon as `complete`, it is over, and there is the artifact."""

    id: str
    """Empty when the artifact was there already."""
    sha256: str
    size: int
    name: str
    offset: int
    """Where the next piece begins: what is before it is on the server's disk for good."""
    complete: bool
    piece_max_bytes: int
    """How large a piece may be."""
    expires_at: datetime | None
    """When it is forgotten unless it goes on."""
    artifact: ArtifactView | None


class UploadList(BaseModel):
    """Your uploads, the newest first."""

    items: list[UploadView]
