"""PostgreSQL's side of a base backup: one connection, open from pg_backup_start to pg_backup_stop.

The server ends the backup when this connection goes. A tool that does not notice copies for hours and has
nothing, so `check_alive` is asked all the time that files are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from ops.errors import OpsError, Unreachable
from ops.model.backup import SETTINGS, Label
from ops.model.blocks import PAGE_SIZE
from ops.model.lsn import LSN
from ops.postgres.connect import Connection, row

_HINT_RESTART = "Set it, restart the server, and take the backup again."


@dataclass(frozen=True)
class Server:
    """The server that is backed up. `version` is server_version_num, `segment_size` in bytes.

    `pages_a_segment` is how many pages a relation's file has at most; `page_size` is in bytes.
    """

    data_directory: Path
    system_identifier: int
    version: int
    segment_size: int
    in_recovery: bool
    settings: dict[str, str]
    page_size: int = PAGE_SIZE
    pages_a_segment: int = 131072

    @property
    def checksums(self) -> bool:
        """Whether its pages have checksums, of the kind that we know."""
        return self.settings.get("data_checksums") == "on" and self.page_size == PAGE_SIZE

    @property
    def major(self) -> int:
        return self.version // 10000


@dataclass(frozen=True)
class Stopped:
    """What pg_backup_stop returned, and the server's clock right after it."""

    stop_lsn: LSN
    stop_time: datetime
    label_text: str
    label: Label
    tablespace_map: str


def inspect(connection: Connection) -> Server:
    """The server's facts; OpsError where it cannot be backed up as it is set."""
    directory, identifier, version, segment_size, in_recovery, page_size, pages = row(
        connection,
        """select current_setting('data_directory'), system_identifier,
                  current_setting('server_version_num')::int,
                  (select setting::bigint from pg_settings where name = 'wal_segment_size'),
                  pg_is_in_recovery(), database_block_size, blocks_per_segment
             from pg_control_system(), pg_control_init()""",
    )
    if version < 150000:
        raise OpsError(f"the server is PostgreSQL {version // 10000}; base backups need 15 or later")
    found = connection.execute(
        "select name, setting from pg_settings where name = any(%s)",
        ([*SETTINGS, "archive_mode", "full_page_writes"],),
    )
    settings = {str(name): str(setting) for name, setting in found}
    _refuse_unfit(settings)
    return Server(
        Path(directory),
        identifier,
        version,
        segment_size,
        in_recovery,
        {name: settings[name] for name in SETTINGS if name in settings},
        page_size,
        pages,
    )


def _refuse_unfit(settings: dict[str, str]) -> None:
    if settings["wal_level"] == "minimal":
        raise OpsError("wal_level is 'minimal': its WAL cannot restore a base backup", hint=_HINT_RESTART)
    if settings["archive_mode"] == "off":
        raise OpsError(
            "archive_mode is off: no WAL reaches the store, and a base backup is worth nothing without it",
            hint="Set archive_mode = on and archive_command = 'ops wal push %p', restart the server, and try again.",
        )
    if settings["full_page_writes"] == "off":
        raise OpsError(
            "full_page_writes is off: pages that are written while they are read could not be mended",
            hint="Set full_page_writes = on, reload the server, and take the backup again.",
        )


class Session:
    """A base backup in progress on one server. Not for use from several threads."""

    def __init__(self, connection: Connection, server: Server) -> None:
        self._connection = connection
        self._server = server

    def start(self, label: str) -> LSN:
        """Where the WAL begins that the backup needs. Waits for a checkpoint, which is asked to hurry."""
        with _asking("could not start the backup"):
            (lsn,) = row(self._connection, "select pg_backup_start(%s, fast => true)::text", label)
            return LSN.parse(lsn)

    def timeline(self) -> int:
        """The timeline that the server is on, once the backup has started."""
        with _asking("could not ask the server for its timeline"):
            (timeline,) = row(
                self._connection,
                """select greatest(timeline_id, min_recovery_end_timeline)
                     from pg_control_checkpoint(), pg_control_recovery()""",
            )
        assert isinstance(timeline, int)
        return timeline

    def standbys(self) -> list[str]:
        """The standbys that stream from this server, by their names; none where this is no primary."""
        if self._server.in_recovery:
            return []
        with _asking("could not ask the server for its standbys"):
            found = self._connection.execute(
                "select distinct application_name from pg_stat_replication where state = 'streaming' order by 1"
            )
            return [str(name) for (name,) in found]

    def check_alive(self) -> None:
        """Unreachable when the connection, and with it the backup, is lost."""
        with _asking("the connection that holds the backup open is lost, and with it the backup"):
            row(self._connection, "select 1")

    def stop(self) -> Stopped:
        """Ends the backup without waiting for the archive: `coverage` looks into the store itself.

        On a primary this switches to a new segment, so that the last one can be archived at once; on a standby
        it cannot, and the segment comes when the primary fills it or archive_timeout passes there.
        """
        with _asking("could not end the backup"):
            lsn, text, spaces = row(
                self._connection,
                "select lsn::text, labelfile, spcmapfile from pg_backup_stop(wait_for_archive => false)",
            )
            (stop_time,) = row(self._connection, "select clock_timestamp()")
            label = Label.parse(text)
            self._refuse_new_timeline(label)
        return Stopped(LSN.parse(lsn), stop_time, text, label, spaces or "")

    def clock(self) -> datetime:
        """Now, by the server's clock."""
        with _asking("could not ask the server for the time"):
            (now,) = row(self._connection, "select clock_timestamp()")
        assert isinstance(now, datetime)
        return now

    def archiver(self) -> str:
        """What the server says of its archiver, for a message."""
        if self._server.in_recovery:
            return "This is a standby: its primary archives a segment once it is full or archive_timeout has passed."
        try:
            last, failed, count = row(
                self._connection, "select last_archived_wal, last_failed_wal, failed_count from pg_stat_archiver"
            )
        except psycopg.Error as error:
            return f"The server does not say why: {str(error).strip()}"
        return (
            f"The archiver has archived {last or 'nothing'} last; it failed {count} times, last at {failed or 'none'}."
        )

    def _refuse_new_timeline(self, label: Label) -> None:
        """A standby that has followed its primary to a new timeline: the WAL from start to stop has a fork in it."""
        if not self._server.in_recovery:
            return
        (timeline,) = row(self._connection, "select min_recovery_end_timeline from pg_control_recovery()")
        if timeline != label.timeline:
            raise OpsError(
                f"the primary changed while the backup ran: timeline {label.timeline} became {timeline}",
                hint="Nothing was stored as a backup. Take it again.",
            )


@contextmanager
def _asking(failure: str) -> Iterator[None]:
    """Turns psycopg's errors into ours: `failure`, and what the server said."""
    try:
        yield
    except psycopg.Error as error:
        # Classes 08 and 57: connection lost, server shutting down. No state at all: there was no answer.
        lost = error.sqlstate is None or error.sqlstate[:2] in ("08", "57")
        raise (Unreachable if lost else OpsError)(
            failure, detail=str(error).strip(), hint="See the server's log, then take the backup again."
        ) from error
