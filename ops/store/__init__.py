"""Object storage: one interface (base.py), S3 and a local folder, one contract suite for both.

`open_store` turns the settings into a store. boto3 takes a quarter of a second to import, and the WAL commands
run once per segment, so that a folder must not pay for it.
"""

from __future__ import annotations

from ops.config import FolderRepository, S3Repository
from ops.store.base import Store


def open_store(settings: S3Repository | FolderRepository) -> Store:
    """The store that the section of a repository names. Nothing is asked of it yet."""
    store = _open(settings)
    if settings.bandwidth is None:
        return store
    from ops.store.throttle import Throttled  # noqa: PLC0415

    return Throttled(store, settings.bandwidth)


def _open(settings: S3Repository | FolderRepository) -> Store:
    if isinstance(settings, FolderRepository):
        from ops.store.folder import FolderStore  # noqa: PLC0415

        return FolderStore(settings.path)
    from ops.store.s3 import S3Store  # noqa: PLC0415

    return S3Store(settings)
