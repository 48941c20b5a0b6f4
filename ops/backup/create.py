"""Taking a base backup of the server on this host: `pg_backup_start`, files into packs, `pg_backup_stop`, commit.

The order is the point. pg_control is read after all other files. The manifest is put after every pack and after
every WAL segment that the backup needs is in the store, so a backup that exists can be restored. One that fails
or is killed leaves packs behind and no backup; the next one finds in them what it need not store again.
"""

from __future__ import annotations

import socket
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ops.backup import catalog, earlier
from ops.backup.coverage import wait_for_wal
from ops.backup.earlier import Earlier, Reuse
from ops.backup.faults import reached
from ops.backup.lease import BACKUP, Lease
from ops.backup.packer import Packer, pack_size
from ops.backup.proof import Proof
from ops.backup.reader import Reader
from ops.backup.report import Meter, Reporter
from ops.backup.scan import Tree, describe, scan
from ops.backup.schedule import turn
from ops.backup.session import Server, Session, Stopped, inspect
from ops.config import Config
from ops.errors import OpsError, Unreachable
from ops.model.backup import Backup, backup_id, needed_wal
from ops.model.blocks import merge
from ops.model.datadir import CONTROL_FILE
from ops.model.layout import Layout
from ops.model.lsn import LSN
from ops.model.manifest import Contents, File, Manifest, digest
from ops.postgres.connect import connect
from ops.store.base import Store
from ops.store.repository import Repository, RepositoryInfo, ensure, repository_at
from ops.store.throttle import Throttled


def create(config: Config, store: Store, reporter: Reporter, *, here: bool = False) -> Backup:
    """Take a backup and commit it; needs the rights of the user that PostgreSQL runs as.

    On a primary a replica that could do the reading is named, unless it is to be `here`.
    A database with damaged pages is backed up, too: `Backup.damaged` names them. Raises Unreachable when the server
    or the store is not there (any more), OpsError when this server cannot be backed up, another backup is running, or
    the WAL did not arrive in time.
    """
    if config.backup.rate is not None:
        store = Throttled(store, config.backup.rate)
    with closing(connect(config.postgres, purpose="ops backup create")) as connection:
        server = inspect(connection)
        layout = Layout(config.repository.prefix, config.cluster, server.system_identifier)
        repository = repository_at(store, layout, config.repository.encryption, config.keys)
        info = ensure(repository, segment_size=server.segment_size, postgres_version=server.major)
        session = Session(connection, server)
        if not here and (replica := _replica(config, session)):
            reporter.say(
                f"This is the primary, and it does the reading now. {replica} could, and spare it: end this, and run "
                "it there. To hear nothing of that: --here"
            )
        with Lease(repository, BACKUP, reporter) as lease:
            reached("create-leased")
            backup = _Run(config, repository, info, server, session, reporter, lease).run()
        reached("create-released")
        return backup


def _replica(config: Config, session: Session) -> str | None:
    """Who could do the reading instead of this primary: the one that scheduled backups choose, or any standby."""
    standbys = session.standbys()
    if standbys and config.patroni:
        with suppress(Unreachable):
            whose = turn(config)
            return None if whose.is_ours else whose.elected
    return " or ".join(standbys) or None


@dataclass(frozen=True)
class _Copied:
    """The files as they lie in packs now."""

    tree: Tree
    contents: Contents
    reuse: Reuse
    proof: Proof | None


@dataclass(frozen=True)
class _Run:
    """One backup on its way: what its steps have in common."""

    config: Config
    repository: Repository
    info: RepositoryInfo
    server: Server
    session: Session
    reporter: Reporter
    lease: Lease

    def run(self) -> Backup:
        """The backup, committed."""
        with self.reporter.stage("look at earlier backups"):
            before = earlier.look(self.repository)
        start = self.session.clock().astimezone(UTC)
        with self.reporter.stage("start the backup (waits for a checkpoint)"):
            start_lsn = self.session.start(f"ops {backup_id(start)}")
        reached("create-started")
        timeline = self.session.timeline()
        copied = self._copy(before, start_lsn, timeline)
        reached("create-copied")
        with self.reporter.stage("end the backup"):
            stopped = self.session.stop()
        if stopped.label.timeline != timeline:
            raise OpsError(
                f"the timeline changed while the backup ran: {timeline} became {stopped.label.timeline}",
                hint="Nothing was stored as a backup. Take it again.",
            )
        reached("create-stopped")
        backup = self._describe(before, start, stopped, copied)
        self._wait(stopped)
        reached("create-covered")
        self._commit(backup, stopped, copied.contents)
        return backup

    def _copy(self, before: Earlier, start: LSN, timeline: int) -> _Copied:
        """All files into packs, or found in them; pg_control last."""
        settings, root = self.config.backup, self.server.data_directory
        with self.reporter.stage("read the list of files"):
            tree = scan(root, self.server.major)
            reuse = earlier.plan(self.repository, before, tree.files, same_history=self._continues(before, timeline))
            self._check_alive()
        to_read = sum(file.size for file in reuse.to_read)
        key, target = self.repository.block_key(self.info), pack_size(to_read)
        packers = [
            Packer(self.repository, reuse.packs, key, settings.compression_level, target=target)
            for _ in range(settings.workers)
        ]
        looks = settings.page_checksums and self.server.checksums
        proof = Proof(start, self.server.pages_a_segment, reuse.proven) if looks else None
        with self.reporter.stage("copy the files"):
            reader = Reader(root, self.info.block_size, Meter(to_read, self.reporter.progress), proof)
            files = [*reuse.adopted, *reader.read(reuse.to_read, packers, self._check_alive)]
            files.sort(key=lambda file: file.path)
            files.append(_copy_control(root, packers[0], self.server.system_identifier))
            for packer in packers:
                packer.finish()
            self._check_alive()
        packs, numbered = reuse.packs.used_by(files)
        return _Copied(tree, Contents(packs, tuple(tree.directories), numbered), reuse, proof)

    def _continues(self, before: Earlier, timeline: int) -> bool:
        """Whether the times of this host's files can be compared with those that the last backup saw."""
        last = before.backup
        return last is not None and (last.timeline, last.host) == (timeline, socket.gethostname())

    def _check_alive(self) -> None:
        self.session.check_alive()
        if self.lease.lost:
            self.lease.check()

    def _wait(self, stopped: Stopped) -> None:
        """Until the store holds the WAL from the backup's start to its end."""
        segments = needed_wal(stopped.label, stopped.stop_lsn, self.server.segment_size)
        with self.reporter.stage(f"wait for WAL up to {segments[-1].name} in the store"):
            wait_for_wal(
                self.repository,
                segments,
                timeout=self.config.backup.wal_timeout,
                why=self.session.archiver,
            )

    def _commit(self, backup: Backup, stopped: Stopped, contents: Contents) -> None:
        """Put what describes the backup, once all that it refers to was seen in the store."""
        with self.reporter.stage("commit"):
            earlier.check(self.repository, contents.packs)
            self.lease.check()
            reached("create-checked")
            files = contents.encode()
            manifest = Manifest(backup, stopped.label_text, stopped.tablespace_map, digest(files))
            catalog.put(self.repository, manifest, files, self.config.backup.compression_level)
            reached("create-committed")

    def _describe(self, before: Earlier, start: datetime, stopped: Stopped, copied: _Copied) -> Backup:
        """The backup as it will be listed."""
        segments = needed_wal(stopped.label, stopped.stop_lsn, self.server.segment_size)
        contents = copied.contents
        return Backup(
            id=backup_id(start),
            cluster=self.config.cluster,
            system_identifier=self.server.system_identifier,
            timeline=stopped.label.timeline,
            start_lsn=stopped.label.start_lsn,
            stop_lsn=stopped.stop_lsn,
            start_time=start,
            stop_time=stopped.stop_time.astimezone(UTC),
            first_segment=segments[0].name,
            last_segment=segments[-1].name,
            host=socket.gethostname(),
            from_standby=stopped.label.from_standby,
            postgres_version=self.server.version,
            size=sum(file.size for file in contents.files),
            stored_bytes=sum(pack.size for pack in contents.packs),
            new_bytes=copied.reuse.packs.new_bytes,
            block_size=self.info.block_size,
            packs=len(contents.packs),
            files=len(contents.files),
            tablespaces=copied.tree.tablespaces,
            settings=self.server.settings,
            previous=before.backup.id if before.backup else None,
            checked=copied.proof is not None,
            damaged=_damaged(before.backup, stopped.stop_lsn, copied),
        )


def _damaged(last: Backup | None, stop: LSN, copied: _Copied) -> dict[str, list[list[int]]]:
    """The pages that failed, and those that did in the last backup and lie in files that were not read again."""
    if copied.proof is None:
        return {}
    unread = {file.path for file in copied.reuse.adopted}
    known = {path: pages for path, pages in (last.damaged if last else {}).items() if path in unread}
    return known | copied.proof.damaged(stop)


def _copy_control(root: Path, packer: Packer, system_identifier: int) -> File:
    """pg_control, as the server wrote it at one moment.

    The server overwrites it in place, and a file system need not keep a reader from seeing half of that: it is
    read until two readings agree.
    """
    path, before = root / CONTROL_FILE, b""
    while (now := path.read_bytes()) != before:
        before = now
    found = int.from_bytes(now[:8], sys.byteorder)
    if found != system_identifier:
        raise OpsError(
            f"{root} is not the data directory of the server that we talk to",
            detail=f"its system identifier is {found}, the server's is {system_identifier}",
            hint="Run `ops backup create` on the server's own host, outside any container that it may run in.",
        )
    file = describe(root, CONTROL_FILE)
    return File(file.path, len(now), file.mode, file.mtime, merge([packer.add(now)]))
