"""`ops backup schedule`: what is done when, and by whom; and what the timers call."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click

from ops.backup.schedule import argv, timers, turn
from ops.cli.host import as_json_flag, begin, configured
from ops.cli.output import emit_json, table
from ops.model.jobs import JOBS, OF_THE_LEADER, Job


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
        emit_json(
            {
                "runs_on": whose.elected,
                "leader": whose.leader,
                "this_host": whose.ourselves,
                "timers": [asdict(one) for one in found],
            }
        )
        return
    rows = [(one.job, one.calendar if one.active else "off", one.next, one.last, one.state) for one in found]
    click.echo(table(rows, ("job", "when", "next", "last fired here", "ended")))
    if whose.elected:
        click.echo(f"\nEvery member's timers fire; {whose.elected} does what is due now. This is {whose.ourselves}.")
        click.echo(f"{' and '.join(OF_THE_LEADER)} are the leader's, {whose.leader or 'which there is none of'}.")


@schedule.command("run")
@click.argument("job", type=click.Choice(JOBS))
@configured
def run(job: Job, config_file: Path | None) -> None:
    """Do what is due, if it is this member's turn; what the timers call. Exits as the worst of what was done."""
    config = begin(config_file)
    whose = turn(config)
    if (doer := whose.of(job)) != whose.ourselves:
        if job not in OF_THE_LEADER:  # each minute, on every replica: nothing that a journal need hold
            click.echo(f"{job}: it is the turn of {doer}", err=True)
        return
    ops = [sys.executable, "-m", "ops"]
    chosen = ["--config", str(config_file)] if config_file else []
    codes = [subprocess.run([*ops, *words, *chosen], check=False).returncode for words in argv(config, job)]
    sys.exit(max(map(abs, codes), default=0))
