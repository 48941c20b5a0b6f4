"""Which base backups there are. A backup exists when its manifest does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ops.backup.faults import reached
from ops.config import nearest
from ops.errors import OpsError, UsageError
from ops.model.backup import Backup, is_backup_id
from ops.model.manifest import Contents, Manifest, ManifestError, digest
from ops.store.base import AlreadyExists, NotFound, Store
from ops.store.codec import Damaged, Foreign
from ops.store.repository import Repository

LATEST = "latest"
_READERS = 8  # manifests are small: their reading is all waiting


def files_name(backup_id: str) -> str:
    """What the object with a backup's files calls itself."""
    return f"{backup_id}/files"


def put(repository: Repository, manifest: Manifest, files: bytes, level: int) -> None:
    """Store the description of a backup, the manifest last: from then on the backup exists."""
    name, layout = manifest.backup.id, repository.layout
    _put(repository.store, layout.files(name), repository.seal("manifest", files_name(name), files, level=level))
    reached("create-listed")
    _put(repository.store, layout.manifest(name), repository.seal("manifest", name, manifest.encode(), level=level))


def _put(store: Store, key: str, body: bytes) -> None:
    try:
        store.put(key, body)
    except AlreadyExists as error:
        if store.get(key) != body:  # otherwise it was our own PUT, sent twice
            raise OpsError(
                f"another backup began in the same second, and has stored {key}",
                hint="That one is whole. Take this one again.",
            ) from error


def ids(repository: Repository) -> list[str]:
    """The ids of all committed backups, oldest first."""
    stored = {found.key for found in repository.store.list(repository.layout.backups)}
    names = (key.removeprefix(repository.layout.backups).partition("/")[0] for key in stored)
    return sorted({name for name in names if is_backup_id(name) and repository.layout.manifest(name) in stored})


def backups(repository: Repository) -> list[Backup]:
    """All committed backups, oldest first; Damaged where one of them cannot be believed."""
    found, wrong = survey(repository)
    if wrong:
        raise wrong[0]
    return found


def survey(repository: Repository) -> tuple[list[Backup], list[OpsError]]:
    """All committed backups, oldest first, and what is wrong with those that cannot be believed."""

    def look(backup_id: str) -> Backup | OpsError:
        try:
            return read(repository, backup_id).backup
        except (Damaged, Foreign) as error:
            return error

    with ThreadPoolExecutor(_READERS) as pool:
        seen = list(pool.map(look, ids(repository)))
    return [one for one in seen if isinstance(one, Backup)], [one for one in seen if isinstance(one, OpsError)]


def get(repository: Repository, backup_id: str) -> Backup:
    """The backup of that id, or the newest for "latest"; OpsError where there is none, with the nearest id."""
    known = ids(repository)
    if not known:
        raise OpsError(
            f"there is no base backup of {repository.layout.cluster!r} in {repository.store.name}",
            hint="Take one on a database host: ops backup create",
        )
    if backup_id == LATEST:
        backup_id = known[-1]
    if backup_id not in known:
        guess = nearest(backup_id, known) or known[-1]
        raise UsageError(
            f"there is no base backup {backup_id!r} in {repository.store.name}",
            detail=f"There are {len(known)}, from {known[0]} to {known[-1]}.",
            hint=f"Did you mean {guess}? `ops backup list` shows them all.",
        )
    return read(repository, backup_id).backup


def read(repository: Repository, backup_id: str) -> Manifest:
    """The manifest of a committed backup; NotFound where it is not committed, Damaged where it cannot be believed."""
    blob = repository.store.get(repository.layout.manifest(backup_id))
    plain = repository.unseal(blob, kind="manifest", name=backup_id)
    try:
        return Manifest.decode(plain)
    except ManifestError as error:
        raise damaged(f"the manifest of backup {backup_id}", str(error)) from error


def contents(repository: Repository, manifest: Manifest) -> Contents:
    """The files of a backup and the packs that they lie in."""
    backup = manifest.backup
    try:
        blob = repository.store.get(repository.layout.files(backup.id))
    except NotFound as error:
        raise damaged(f"backup {backup.id}", error.message) from error
    plain = repository.unseal(blob, kind="manifest", name=files_name(backup.id))
    if digest(plain) != manifest.files_sha256:
        raise damaged(f"the list of files of backup {backup.id}", "it is not the one that the manifest refers to")
    try:
        return Contents.decode(plain, backup.block_size)
    except ManifestError as error:
        raise damaged(f"the list of files of backup {backup.id}", str(error)) from error


def damaged(what: str, detail: str) -> Damaged:
    """The error for something in the store that is not what was put there."""
    return Damaged(
        f"{what} is damaged in the store",
        detail=detail,
        hint="Do not delete anything. Restore another backup, or this one from another copy of the repository.",
    )
