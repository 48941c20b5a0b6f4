"""`ops repository mirror`: bring a whole repository to another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ops.backup.mirror import Copied, Lag, lag
from ops.backup.mirror import mirror as mirror_to
from ops.cli.heap import lean
from ops.cli.host import as_json_flag, begin, configured, identified, repository_of
from ops.cli.output import Shown, Steps, emit_json, print_error, seconds, size, table
from ops.config import Config
from ops.errors import Exit, OpsError, Unreachable, UsageError
from ops.store.repository import Repository
from ops.wal.access import Access


@click.command("mirror")
@click.option("--to", "name", metavar="NAME", help="Only this one of the further repositories.")
@click.option("--check", is_flag=True, help="Copy nothing; say how far each repository is behind.")
@identified
@configured
@as_json_flag
@click.pass_context
def mirror(  # noqa: PLR0917
    ctx: click.Context,
    name: str | None,
    check: bool,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Bring the WAL, the base backups and the evidence of the first repository to the others, sealed with their keys.

    Each block is proven on the way, and a backup appears there once all that it needs does: the copy can be restored
    from at all times. Safe to repeat; goes on where it was killed. Exit 0: they have it all. 1: something is missing,
    or damaged and could not be copied. 3: a repository gave no answer (the others were still looked after).
    """
    lean()
    config = begin(config_file)
    config.at(name)  # a name that there is not is a mistake in the command
    if not config.repositories:
        raise UsageError("there is one repository only", hint="Further ones are tables [repositories.<name>].")
    if name == "main":
        raise UsageError("`main` is the repository that is copied", hint="Name one of the others.")
    source = repository_of(config, system_identifier)
    others = {key: found for key, found in Access(config).others().items() if name in (None, key)}
    shown = Shown(Steps(quiet=as_json))
    results = {
        key: _mirrored(source, found.place(source.system_identifier), config, shown, check=check)
        for key, found in others.items()
    }
    if as_json:
        emit_json({key: result.as_dict() for key, result in results.items()})
    else:
        _print(results)
    ctx.exit(max(result.exit_code for result in results.values()))


@dataclass(frozen=True)
class _Result:
    """How one repository stands to the first one; `trouble` where it gave no answer."""

    copied: Copied
    lag: Lag | None
    trouble: OpsError | None = None

    @property
    def exit_code(self) -> Exit:
        if self.lag is None:
            return Exit.UNKNOWN
        return Exit.OK if self.lag.nothing and not self.copied.refused else Exit.NO

    def as_dict(self) -> dict[str, Any]:
        behind = self.lag
        return {
            "copied_backups": self.copied.backups,
            "copied_wal": len(self.copied.wal),
            "copied_pack_bytes": self.copied.pack_bytes,
            "refused": [error.as_dict() for error in self.copied.refused],
            "missing_backups": behind and list(behind.backups),
            "missing_wal": behind and len(behind.wal.missing),
            "missing_objects": behind and behind.objects,
            "missing_bytes": behind and behind.size,
            "lag_seconds": behind and round(behind.seconds(datetime.now(UTC)), 3),
            "trouble": self.trouble and self.trouble.as_dict(),
        }


def _mirrored(source: Repository, target: Repository, config: Config, shown: Shown, *, check: bool) -> _Result:
    copied = Copied()
    try:
        if not check:
            copied = mirror_to(source, target, level=config.backup.compression_level, reporter=shown)
        return _Result(copied, lag(source, target))
    except Unreachable as error:
        return _Result(copied, None, error)


def _print(results: dict[str, _Result]) -> None:
    rows = []
    for name, result in results.items():
        behind, done = result.lag, result.copied
        missing = (
            (len(behind.backups), len(behind.wal.missing), behind.objects, size(behind.size),
             seconds(behind.seconds(datetime.now(UTC))))
            if behind
            else ("?", "?", "?", "?", "no answer")
        )  # fmt: skip
        rows.append((name, len(done.backups), len(done.wal), *missing))
    copied, missing_ = ("backups copied", "WAL copied"), ("backups missing", "WAL missing", "objects in all", "bytes")
    headers = ("repository", *copied, *missing_, "behind by")
    click.echo(table(rows, headers, right=headers[1:]))
    for result in results.values():
        for error in [*result.copied.refused, *([result.trouble] if result.trouble else [])]:
            print_error(error)
