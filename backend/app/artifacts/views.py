"""Rows of artifacts and uploads as people see them."""

from datetime import datetime

from app.artifacts.models import Artifact, ArtifactUpload
from app.artifacts.schemas import ArtifactView, UploadView

PIECE_MAX_BYTES = 64 << 20
"""A request of an upload is no larger: whatever is lost of it is not much, and a proxy may hold it back."""


def artifact(row: Artifact, used_by: int) -> ArtifactView:
    """An artifact that ``used_by`` releases use."""
    return ArtifactView(sha256=row.sha256, size=row.size, name=row.name, created_at=row.created_at, used_by=used_by)


def under_way(row: ArtifactUpload, expires_at: datetime) -> UploadView:
    """An upload that waits for more."""
    return UploadView(
        id=row.id,
        sha256=row.sha256,
        size=row.size,
        name=row.name,
        offset=row.received,
        complete=False,
        piece_max_bytes=PIECE_MAX_BYTES,
        expires_at=expires_at,
        artifact=None,
    )


def finished(upload_id: str, row: Artifact, used_by: int) -> UploadView:
    """An upload that has become an artifact, or need not."""
    return UploadView(
        id=upload_id,
        sha256=row.sha256,
        size=row.size,
        name=row.name,
        offset=row.size,
        complete=True,
        piece_max_bytes=PIECE_MAX_BYTES,
        expires_at=None,
        artifact=artifact(row, used_by),
    )
