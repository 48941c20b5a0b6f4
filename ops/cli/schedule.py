"""`ops backup schedule`: what is done when, and by whom; and what the timers call."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import cast

import click

from ops.backup.schedule import argv, timers, turn
from ops.cli.host import as_json_flag, begin, configured
from ops.cli.output import emit_json, table
from ops.model.jobs import JOBS, Job


@click.group("schedule", invoke_without_command=True)
@configured
@as_json_flag
@click.pass_context
def schedule(ctx: click.Context, config_file: Path | None, as_json: bool) -> None:
    """When this cluster is backed up and what is stored looked after, and which member does it now."""
    if ctx.invoked_subcommand:
        return
    config = begin(config_file)
    found, whose = timers(), turn(config)
    if as_json:
        emit_json({"runs_on": whose.elected, "this_host": whose.ourselves, "timers": [asdict(one) for one in found]})
        return
    rows = [(one.job, one.calendar if one.active else "off", one.next, one.last, one.state) for one in found]
    click.echo(table(rows, ("job", "when", "next", "last fired here", "ended")))
    if whose.elected:
        click.echo(f"\nEvery member's timers fire; {whose.elected} does what is due now. This is {whose.ourselves}.")


@schedule.command("run")
@click.argument("job", type=click.Choice(JOBS))
@configured
def run(job: str, config_file: Path | None) -> None:
    """Do what is due, if it is this member's turn; what the timers call. Exits as the worst of what was done."""
    config = begin(config_file)
    whose = turn(config)
    if not whose.is_ours:
        click.echo(f"{job}: it is the turn of {whose.elected}", err=True)
        return
    ops = [sys.executable, "-m", "ops"]
    chosen = ["--config", str(config_file)] if config_file else []
    codes = [subprocess.run([*ops, *words, *chosen], check=False).returncode for words in argv(config, cast(Job, job))]
    sys.exit(max(map(abs, codes), default=0))
