"""Which store the settings name."""

from typing import Any

from app.artifacts.folder import FolderStore
from app.artifacts.store import Store
from app.settings import Settings


def store_of(settings: Settings) -> Store:
    """The store for artifacts. Nothing is asked of it yet."""
    if not settings.artifacts_url:
        return FolderStore((settings.artifacts_dir or settings.data_dir / "artifacts").absolute())
    from obstore.store import S3Store  # only who uses it pays for loading it

    from app.artifacts.objects import ObjectStore

    bucket, _, prefix = settings.artifacts_url.removeprefix("s3://").partition("/")
    secret = settings.artifacts_secret_key.get_secret_value()
    config = {
        "endpoint": settings.artifacts_endpoint,
        "region": settings.artifacts_region,
        "access_key_id": settings.artifacts_access_key,
        "secret_access_key": secret,
    }
    given: Any = {name: value for name, value in config.items() if value}
    plain = settings.artifacts_endpoint.startswith("http://")
    return ObjectStore(S3Store(bucket, prefix=prefix or None, config=given, client_options={"allow_http": plain}))
