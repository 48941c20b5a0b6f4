"""`ops lab demo`: what `make demo` runs."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ops.cli.output import Steps, pairs, seconds, size, timestamp
from ops.errors import OpsError
from ops.lab.demo import Story, play
from ops.lab.drive import CHECKOUT

NEXT = (
    ("ops lab status", "the hosts"),
    ("ops lab ssh pg1 ops cluster show", "who leads, who follows"),
    ("ops lab ssh drill1 ops drill restore --target latest", "another drill, to the newest moment"),
    ("ops lab ssh drill1 ops drill list", "what drills have proven so far"),
    ("pyinfra inventories/lab/hosts.py deploy.py", "deploy; change group_data/ first to see a change"),
    ("ops lab down", "take all of it away"),
)


@click.command()
@click.option(
    "--logs", type=click.Path(path_type=Path), default=CHECKOUT / "build" / "demo", help="Where the long outputs go."
)
def demo(logs: Path) -> None:
    """Boot the lab, deploy it twice, back it up under load, and prove a restore to a random moment."""
    start, steps = time.monotonic(), Steps()
    steps.say("pend-ops demo: a fleet from nothing, and one proven restore\n")
    logs.mkdir(parents=True, exist_ok=True)
    try:
        story = play(logs, steps)
        _judge(story)
    except OpsError as error:
        error.hint = f"{error.hint or ''}\nThe lab is left up for a look: ops lab status. Logs: {logs}".strip()
        raise
    click.echo(f"\n{click.style('PROVEN', fg='green', bold=True)} in {seconds(time.monotonic() - start)}\n")
    click.echo(_summary(story))
    click.echo("\nWhat to try next (the lab is up; the programs are in .venv/bin)\n")
    click.echo(pairs(NEXT, indent=2))


def _judge(story: Story) -> None:
    """What the demo promises; anything else is a failure, whatever the summary would have looked like."""
    if story.second.changes:
        raise OpsError("the second deploy changed something", detail=str(story.second.changes))
    if story.restarted:
        raise OpsError("the second deploy restarted something", detail=", ".join(story.restarted))
    if not story.gaps["complete"]:
        raise OpsError("the archive has gaps", detail=str(story.gaps["holes"] or story.gaps["missing_histories"]))
    if story.evidence["verdict"] != "proven":
        raise OpsError("the drill proved nothing")


def _summary(story: Story) -> str:
    backup, evidence = story.backup, story.evidence
    timeline = story.wal["timelines"][-1]
    before, after = evidence["oracle"]["before"], evidence["oracle"]["after"]
    checks = evidence["checks"]
    taken_in, rate = backup["duration_seconds"], backup["size"] / backup["duration_seconds"]
    stored = size(backup["new_bytes"])
    services = f"none of {story.services} services restarted"
    rows: list[tuple[str, object]] = [
        ("fleet", f"{story.hosts} hosts; PostgreSQL {story.postgres}: {_members(story.members)}"),
        ("first deploy", f"{story.first.operations} operations in {seconds(story.first.seconds)}"),
        ("second deploy", f"no change on any host in {seconds(story.second.seconds)}; {services}"),
        ("load", f"{story.transactions:,} transactions committed while all this ran"),
        ("backup", f"{size(backup['size'])} in {seconds(taken_in)}, {size(rate)}/s, {stored} stored"),
        ("WAL", f"{timeline['segments']} segments archived, {timeline['oldest']} to {timeline['newest']}; gaps: none"),
        ("restored to", f"{click.style(_moment(evidence['target']), bold=True)}, chosen at random"),
        ("  row before", f"{_moment(before['committed_at'])}  heartbeat {before['id']}: is there"),
        ("  row after", f"{_moment(after['committed_at'])}  heartbeat {after['id']}: is not, and came with later WAL"),
        ("checks", f"{sum(check['proven'] for check in checks)} of {len(checks)} ok, each named in the evidence"),
        ("RTO", _against(evidence["rto"])),
        ("RPO", _against(evidence["rpo"])),
        ("evidence", f"ops lab ssh drill1 ops drill show {evidence['id']}"),
    ]  # fmt: skip
    return pairs(rows, indent=2)


def _members(members: list[dict[str, Any]]) -> str:
    return ", ".join(f"{member['name']} {member['role'].replace('_', ' ')}" for member in members)


def _moment(text: str) -> str:
    return timestamp(datetime.fromisoformat(text))


def _against(measured: dict[str, float]) -> str:
    return f"{seconds(measured['seconds'])} measured, {seconds(measured['promised'])} promised"
