"""`ops backup clone`: what Patroni calls for a new replica. Its words end up in Patroni's journal, a line at a time."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ops.backup.clone import Origin, ask_leader, choose, make_ready
from ops.backup.clone import clone as clone_backup
from ops.cli.host import begin, configured, identified, repository_of
from ops.cli.output import seconds, size
from ops.config import Config
from ops.errors import OpsError, UsageError

_EVERY = 30.0  # seconds between two lines of progress


class _Lines:
    """Progress for a journal: a line now and then, each worth reading."""

    def __init__(self) -> None:
        self._start = self._said = time.monotonic()

    def progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said < _EVERY or not done:
            return
        self._said = now
        rate = done / (now - self._start)
        left = seconds((total - done) / rate)
        _say(f"{size(done)} of {size(total)} are restored, {size(rate)}/s, {left} left")


@click.command()
@click.option("--to", "directory", type=click.Path(path_type=Path), help="Instead of postgres.data_dir.")
@configured
@identified
@click.pass_context
def clone(ctx: click.Context, directory: Path | None, config_file: Path | None, system_identifier: int | None) -> None:
    """Make this host's empty data directory a replica's, from the newest base backup in the store.

    Patroni calls it (create_replica_methods) and then starts PostgreSQL as a standby. Where it fails, with another
    exit code than 0, nothing is left behind, and Patroni copies the primary instead. Which database it is to be is
    asked of the leader, unless --system-identifier says it.
    """
    config = begin(config_file)
    data_dir = directory or config.postgres.data_dir
    if data_dir is None:
        raise UsageError("there is no data directory on this host", hint="Name one with --to.")
    try:
        make_ready(data_dir := data_dir.absolute())
        _clone(config, data_dir, Origin(system_identifier) if system_identifier else ask_leader(config))
    except OpsError as error:
        for text in filter(None, (error.message, error.detail, error.hint)):
            for line in text.splitlines():
                _say(line)
        _say("not cloned from the store")
        ctx.exit(error.exit_code)


def _clone(config: Config, data_dir: Path, origin: Origin) -> None:
    repository = repository_of(config, origin.system_identifier)
    backup = choose(repository, origin)
    where = f"timeline {backup.timeline}, {size(backup.size)}"
    _say(f"restoring backup {backup.id} ({where}) from {repository.store.name} to {data_dir}")
    cloned = clone_backup(repository, backup, data_dir, workers=config.backup.workers, progress=_Lines().progress)
    took = f"{size(cloned.bytes)} in {seconds(cloned.seconds)}"
    _say(f"restored {took}; PostgreSQL replays the WAL from {cloned.start_lsn} on")


def _say(text: str) -> None:
    click.echo(f"ops backup clone: {text}", err=True)
