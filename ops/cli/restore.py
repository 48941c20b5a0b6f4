"""`ops backup restore`: the files of a base backup into a directory, and how far its server is to recover."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import click

from ops.backup import catalog, place
from ops.backup.place import Consent
from ops.backup.reach import newest_before, reach
from ops.backup.recovery import fetching, write_recovery
from ops.backup.restore import place_tablespaces, restore_files
from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.output import Shown, Steps, emit_json, pairs, seconds, size
from ops.config import Config
from ops.errors import UsageError
from ops.model.backup import Backup
from ops.model.target import EXAMPLES, Latest, Target, parse
from ops.postgres.conf import render
from ops.store.repository import Repository


@click.command()
@click.argument("backup_id", metavar="ID|latest")
@click.option("--to", "directory", required=True, type=click.Path(path_type=Path), help="Empty, or not there yet.")
@click.option("--target", "wish", help=f"Recover to this when the server starts: {EXAMPLES}.")
@click.option("--timeline", type=click.IntRange(1), help="Recover along this timeline instead of the newest.")
@click.option(
    "--tablespace", "tablespaces", multiple=True, metavar="OID|PATH=DIR", help="Where a tablespace goes; repeatable."
)
@click.option("--delta", is_flag=True, help="Over the database in the directory: only what differs is fetched.")
@click.option("--confirm", metavar="CLUSTER", help="With --delta: the cluster's name, instead of being asked for it.")
@click.option("--workers", type=click.IntRange(1, 64), help="Threads that read packs; backup.workers by default.")
@chosen
@configured
@identified
@as_json_flag
def restore(
    *,
    backup_id: str,
    directory: Path,
    wish: str | None,
    timeline: int | None,
    tablespaces: tuple[str, ...],
    delta: bool,
    confirm: str | None,
    workers: int | None,
    repository_name: str | None,
    config_file: Path | None,
    system_identifier: int | None,
    as_json: bool,
) -> None:
    """Write the files of a base backup into a new directory, each block checked on the way.

    The server there is not started. With --target it is told how to recover when it is, with archiving off, and
    `latest` is the newest backup from before the target. A restore that was killed is gone on with by the same command.
    With --repository the WAL too comes from that one alone, else from whichever has it.
    """
    directory = directory.absolute()
    spaces = dict(tablespace(text) for text in tablespaces)
    target = parse_target(wish) if wish else None
    if timeline and not target:
        raise UsageError("--timeline says along which timeline to recover: it needs a --target")
    config = begin(config_file, repository=repository_name)
    repository = repository_of(config, system_identifier)
    found, timeline = choose(repository, backup_id, target, timeline, config)
    consent = _consent(directory, repository, delta=delta, confirm=confirm)
    shown, start = Shown(Steps()), time.monotonic()
    with shown.stage(f"restore {found.id} to {directory}"):
        done = restore_files(
            repository,
            found,
            directory,
            workers=workers or config.backup.workers,
            progress=shown.progress,
            tablespaces=spaces,
            consent=consent,
            tell=partial(
                _tell, target=target, timeline=timeline, fetch=recovery_command(config, config_file, repository_name)
            ),
        )
    duration = time.monotonic() - start
    if as_json:
        placed = place_tablespaces(found, directory, spaces)
        emit_json(
            {
                "backup": found.id,
                "directory": str(directory),
                "target": str(target) if target else None,
                "timeline": timeline,
                "tablespaces": {oid: str(path) for oid, path in placed.items()},
                "bytes": done.size,
                "reused_bytes": done.reused,
                "fetched_bytes": done.fetched,
                "seconds": round(duration, 3),
            }
        )
    else:
        kept = f"; {size(done.reused)} were there already, {size(done.fetched)} fetched" if done.reused else ""
        click.echo(f"{size(done.size)} in {seconds(duration)}, {size(done.size / duration)}/s{kept}\n")
        click.echo(_next_step(directory, target, config))


def choose(
    repository: Repository, backup_id: str, target: Target | None, timeline: int | None, config: Config
) -> tuple[Backup, int]:
    """The backup to restore, and along which timeline its recovery goes; OpsError where the target is out of reach."""
    if target is None:
        found = catalog.get(repository, backup_id)
        return found, found.timeline
    if backup_id == catalog.LATEST:
        found = newest_before(repository, target, timeline=timeline)
    else:
        found = catalog.get(repository, backup_id)
    return found, reach(repository, found, target, timeline=timeline, bin_dir=config.postgres.bin_dir).timeline


def _consent(directory: Path, repository: Repository, *, delta: bool, confirm: str | None) -> Consent:
    """To lose the database in `directory`, if there is one: by typing the name of the cluster, or giving it."""
    cluster = repository.layout.cluster
    if not delta:
        return Consent()
    if confirm is None and sys.stdin.isatty():
        standing = place.admit(directory, repository.system_identifier, Consent(delta=True, confirmed=True))
        if place.needs_confirmation(standing, repository.system_identifier):
            click.echo(f"{directory} holds a database. What differs from the backup will be lost.", err=True)
            confirm = click.prompt(f"Type the cluster's name ({cluster}) to go on", err=True)
    if confirm not in (None, cluster):
        raise UsageError(f"the cluster is {cluster}, not {confirm}; nothing was written")
    return Consent(delta=True, confirmed=confirm is not None)


def _tell(directory: Path, *, target: Target | None, timeline: int, fetch: str) -> None:
    """Recovery settings; and archiving off, so that this server cannot write where the cluster that it copies does."""
    if target is None:
        return
    write_recovery(directory, target, timeline, fetch)
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write(render({"archive_mode": "off"}))


def recovery_command(config: Config, config_file: Path | None, repository_name: str | None = None) -> str:
    """What the restored server calls for each segment: through the archiver service of this host, if there is one."""
    source = config_file or os.environ.get("OPS_CONFIG")
    return fetching(config.wal.socket, Path(source).absolute() if source else None, repository_name)


# Where a restored server is looked at: beside a live one, without its port, its network or its certificates.
_LOOK_PORT = 5499


def _next_step(directory: Path, target: Target | None, config: Config) -> str:
    """Commands for root that work as they stand, beside a live server and on a drill host."""
    if target is None:
        return (
            "Nothing says yet how far to recover. Restore with --target, or set restore_command and a\n"
            f"recovery_target in {directory}/postgresql.auto.conf and touch {directory}/recovery.signal."
        )
    user = config.postgres.user
    control = f"runuser -u {user} -- {config.postgres.bin_dir}/pg_ctl -D {directory}"
    own = f"-c hba_file={directory}/pg_hba.conf -c ident_file={directory}/pg_ident.conf"
    private = f"-p {_LOOK_PORT} -c listen_addresses= -c ssl=off {own}"
    end = "to the end of the WAL in the store" if isinstance(target, Latest) else f"to {target}, and wait there"
    steps = [
        ("look at it", f'cd / && {control} -l {directory}/startup.log -o "{private}" start'),
        ("", f"runuser -u {user} -- psql -p {_LOOK_PORT}"),
        ("end it", f"{control} stop"),
    ]
    return (
        f"It will recover {end}. Next, as root:\n\n{pairs(steps, indent=2)}\n\n"
        "archive_mode is off in its postgresql.auto.conf, so that it cannot write where its cluster does.\n"
        "How to copy rows from it, or to put it in the cluster's place: docs/runbooks/restore.md."
    )


def parse_target(wish: str) -> Target:
    """A target from the command line; UsageError for what is none."""
    try:
        return parse(wish)
    except ValueError as error:
        raise UsageError(f"--target {wish!r} cannot be understood", detail=str(error)) from None


def tablespace(text: str) -> tuple[str, Path]:
    """What `--tablespace` says: which one, by its oid or its path, and where it goes."""
    name, _, path = text.rpartition("=")
    if not ((name.isdecimal() or name.startswith("/")) and path):
        raise UsageError(
            f"--tablespace {text!r} is not OID=DIR or PATH=DIR",
            hint="Such as 16400=/srv/space or /old/space=/srv/space.",
        )
    return name, Path(path).absolute()
