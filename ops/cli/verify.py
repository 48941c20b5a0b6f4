"""`ops backup verify`: are the stored backups what was put there, and what would be lost if not."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ops.backup.verify import Damage, Report
from ops.backup.verify import verify as verify_backups
from ops.cli.heap import lean
from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.output import Shown, Steps, emit_json, pairs, print_error, size, timestamp
from ops.errors import Exit

_DAY = 24 * 3600 * 1_000_000
_SHOWN_FILES = 10


@click.command("verify")
@click.option("--all", "everything", is_flag=True, help="Read packs that were verified lately, too.")
@chosen
@identified
@configured
@as_json_flag
@click.pass_context
def verify(  # noqa: PLR0917
    ctx: click.Context,
    everything: bool,
    repository_name: str | None,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Read the base backups again as they are stored, and prove every block of what was not verified lately.

    What "lately" is says backup.verify_days; the store remembers what was verified when. Exit 0: all is as it was put.
    1: something is damaged, and the backups, files and times that it costs are named. 3: could not find out.
    """
    lean()
    config = begin(config_file, repository=repository_name)
    repository = repository_of(config, system_identifier)
    now = int(time.time() * 1_000_000)
    before = now + 1 if everything else now - config.backup.verify_days * _DAY
    shown = Shown(Steps(quiet=as_json))
    with shown.stage("read what was not verified lately"):
        report = verify_backups(repository, before=before, progress=shown.progress)
    if as_json:
        emit_json(_as_json(report))
    else:
        _print(report)
    for error in report.unknown:
        print_error(error)
    if report.damaged:
        ctx.exit(Exit.NO)
    ctx.exit(Exit.UNKNOWN if report.unknown else Exit.OK)


def _print(report: Report) -> None:
    oldest = timestamp(datetime.fromtimestamp(report.oldest // 1_000_000, UTC)) if report.oldest else "never"
    click.echo(
        pairs([
            ("backups", report.backups),
            ("packs", f"{report.packs}, {size(report.stored_bytes)}"),
            ("read now", f"{report.verified}, {size(report.verified_bytes)}"),
            ("verified since", f"{oldest} at the longest"),
        ])
    )  # fmt: skip
    if report.unreferenced:
        click.echo(f"\n{report.unreferenced} packs belong to no backup: one that is running, or was killed")
    for damage in report.damaged:
        click.echo(f"\nDAMAGED  {damage.key}\n         {damage.detail}")
        for name, files in damage.backups.items():
            click.echo(f"         backup {name}: {_files(files)}")
    for loss in report.losses:
        click.echo(f"\nLOST     backup {loss.backup}\n         {loss}")
    if report.noted:
        click.echo("\nWhat was verified could not be noted in the store; the next run will do it again:", err=True)
        print_error(report.noted)
    if not report.damaged and not report.unknown:
        click.echo("all is as it was put")


def _files(files: tuple[str, ...] | None) -> str:
    if files is None:
        return "all of it"
    more = f" and {len(files) - _SHOWN_FILES} more files" if len(files) > _SHOWN_FILES else ""
    return ", ".join(files[:_SHOWN_FILES]) + more


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "ok": not report.damaged and not report.unknown,
        "backups": report.backups,
        "packs": report.packs,
        "stored_bytes": report.stored_bytes,
        "unreferenced_packs": report.unreferenced,
        "verified_now": report.verified,
        "verified_now_bytes": report.verified_bytes,
        "oldest_timestamp_seconds": report.oldest and report.oldest / 1_000_000,
        "damaged": [_damage(one) for one in report.damaged],
        "losses": [loss.as_dict() for loss in report.losses],
        "unknown": [error.as_dict() for error in report.unknown],
        "noted": report.noted is None,
    }


def _damage(damage: Damage) -> dict[str, Any]:
    backups = [{"id": name, "files": files and list(files)} for name, files in damage.backups.items()]
    return {"object": damage.key, "detail": damage.detail, "backups": backups}
