"""Taking a base backup of the server on this host: `pg_backup_start`, files into packs, `pg_backup_stop`, commit.

The order is the point. pg_control is read after all other files. The manifest is put after every pack and after
every WAL segment that the backup needs is in the store, so a backup that exists can be restored. One that fails
or is killed leaves packs behind, which nothing refers to, and no backup.
"""

from __future__ import annotations

import socket
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ops.backup import catalog
from ops.backup.coverage import wait_for_wal
from ops.backup.packer import Packer, Packs
from ops.backup.reader import Reader
from ops.backup.report import Meter, Reporter
from ops.backup.scan import Tree, describe, scan
from ops.backup.session import Server, Session, Stopped, inspect
from ops.config import Config
from ops.errors import OpsError
from ops.model.backup import Backup, backup_id, needed_wal
from ops.model.blocks import merge
from ops.model.datadir import CONTROL_FILE
from ops.model.layout import Layout
from ops.model.manifest import Contents, File, Manifest, digest
from ops.postgres.connect import connect
from ops.store.base import Store
from ops.store.repository import Repository, RepositoryInfo, ensure, repository_at


def create(config: Config, store: Store, reporter: Reporter) -> Backup:
    """Take a backup and commit it; needs the rights of the user that PostgreSQL runs as.

    Raises Unreachable when the server or the store is not there (any more), OpsError when this server cannot be
    backed up or the WAL did not arrive in time.
    """
    with closing(connect(config.postgres, purpose="ops backup create")) as connection:
        server = inspect(connection)
        layout = Layout(config.repository.prefix, config.cluster, server.system_identifier)
        repository = repository_at(store, layout, config.repository.encryption, config.keys)
        info = ensure(repository, segment_size=server.segment_size, postgres_version=server.major)
        session = Session(connection, server)
        start = session.clock().astimezone(UTC)
        with reporter.stage("start the backup (waits for a checkpoint)"):
            session.start(f"ops {backup_id(start)}")
        run = _Run(config, repository, info, server, session, reporter)
        tree, contents = run.copy()
        with reporter.stage("end the backup"):
            stopped = session.stop()
        backup = run.describe(start, stopped, tree, contents)
        run.wait(stopped)
        with reporter.stage("commit"):
            files = contents.encode()
            manifest = Manifest(backup, stopped.label_text, stopped.tablespace_map, digest(files))
            catalog.put(run.repository, manifest, files, config.backup.compression_level)
        return backup


@dataclass(frozen=True)
class _Run:
    """One backup on its way: what its steps have in common."""

    config: Config
    repository: Repository
    info: RepositoryInfo
    server: Server
    session: Session
    reporter: Reporter

    def copy(self) -> tuple[Tree, Contents]:
        """All files into packs, pg_control last."""
        settings, packs, root = self.config.backup, Packs(), self.server.data_directory
        key = self.repository.block_key(self.info)
        packers = [Packer(self.repository, packs, key, settings.compression_level) for _ in range(settings.workers)]
        with self.reporter.stage("read the list of files"):
            tree = scan(root, self.server.major)
            self.session.check_alive()
        with self.reporter.stage("copy the files"):
            reader = Reader(root, self.info.block_size, Meter(tree.size, self.reporter.progress))
            files = reader.read(tree.files, packers, self.session.check_alive)
            files.append(_copy_control(root, packers[0], self.server.system_identifier))
            for packer in packers:
                packer.finish()
            self.session.check_alive()
        return tree, Contents(packs.all(), tuple(tree.directories), tuple(files))

    def wait(self, stopped: Stopped) -> None:
        """Until the store holds the WAL from the backup's start to its end."""
        segments = needed_wal(stopped.label, stopped.stop_lsn, self.server.segment_size)
        with self.reporter.stage(f"wait for WAL up to {segments[-1].name} in the store"):
            wait_for_wal(
                self.repository,
                segments,
                timeout=self.config.backup.wal_timeout,
                why=self.session.archiver,
            )

    def describe(self, start: datetime, stopped: Stopped, tree: Tree, contents: Contents) -> Backup:
        """The backup as it will be listed."""
        segments = needed_wal(stopped.label, stopped.stop_lsn, self.server.segment_size)
        stored = sum(pack.size for pack in contents.packs)
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
            stored_bytes=stored,
            new_bytes=stored,
            block_size=self.info.block_size,
            packs=len(contents.packs),
            files=len(contents.files),
            tablespaces=tree.tablespaces,
            settings=self.server.settings,
        )


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
