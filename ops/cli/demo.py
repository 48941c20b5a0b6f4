"""`ops lab demo`: what `make demo` runs."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ops.cli.output import Steps, pairs, seconds, size, timestamp
from ops.errors import OpsError
from ops.lab.demo import Again, Story, play
from ops.lab.drive import CHECKOUT

NEXT = (
    ("ops lab status", "the hosts"),
    ("ops lab ssh pg1 ops cluster show", "who leads, who follows"),
    ("ops lab ssh drill1 ops drill restore --target latest", "another drill, to the newest moment"),
    ("ops lab ssh drill1 ops drill list", "what drills have proven so far"),
    ("ops plan", "what a deploy would do; change group_data/ first to see a change"),
    ("ops drift", "whether anything differs from what is declared"),
    ("ops connect pend_production", "how applications connect"),
    ("pyinfra inventories/lab/hosts.py deploy.py", "deploy it again"),
    ("ops lab down", "take all of it away"),
)


@click.command()
@click.option(
    "--logs", type=click.Path(path_type=Path), default=CHECKOUT / "build" / "demo", help="Where the long outputs go."
)
def demo(logs: Path) -> None:
    """Boot the lab, deploy it twice, prove a restore to a random moment, and change who leads under a client's eyes."""
    start, steps = time.monotonic(), Steps()
    steps.say("pend-ops demo: a fleet from nothing, one proven restore, and a change of everybody who leads\n")
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
    for which, again in (("second", story.second), ("third", story.third)):
        if again.deployed.changes:
            raise OpsError(f"the {which} deploy changed something", detail=str(again.deployed.changes))
        if again.restarted:
            raise OpsError(f"the {which} deploy restarted something", detail=", ".join(again.restarted))
    if story.switched.lost:
        raise OpsError(f"the switchover lost {story.switched.lost} confirmed rows")
    if story.differences:
        raise OpsError(f"the fleet differs from what is declared in {story.differences} points", hint="See: ops drift")
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
    switched, gap = story.switched, seconds(story.switched.gap)
    rows: list[tuple[str, object]] = [
        ("fleet", f"{story.hosts} hosts; PostgreSQL {story.postgres}: {_members(story.members)}"),
        ("first deploy", f"{story.first.operations} operations in {seconds(story.first.seconds)}"),
        ("second deploy", _nothing(story.second)),
        ("load", f"{story.transactions:,} transactions committed while all this ran"),
        ("backup", f"{size(backup['size'])} in {seconds(taken_in)}, {size(rate)}/s, {stored} stored"),
        ("WAL", f"{timeline['segments']} segments archived, {timeline['oldest']} to {timeline['newest']}; gaps: none"),
        ("restored to", f"{click.style(_moment(evidence['target']), bold=True)}, chosen at random"),
        ("  row before", f"{_moment(before['committed_at'])}  heartbeat {before['id']}: is there"),
        ("  row after", f"{_moment(after['committed_at'])}  heartbeat {after['id']}: is not, and came with later WAL"),
        ("checks", f"{sum(check['proven'] for check in checks)} of {len(checks)} ok, each named in the evidence"),
        ("RTO", _against(evidence["rto"])),
        ("RPO", _against(evidence["rpo"])),
        ("switchover", f"{switched.old} to {switched.new}; through the router nothing could be written for {gap}"),
        ("  its rows", f"{switched.rows} confirmed, {switched.lost} of them lost"),
        ("cache", f"{story.masters[0]} to {story.masters[1]}, by Sentinel"),
        ("third deploy", _nothing(story.third)),
        ("drift", "none: every host is as declared"),
        *[("left out", f"{group}: not required, and its package source is out of reach") for group in story.left_out],
        ("evidence", f"ops lab ssh drill1 ops drill show {evidence['id']}"),
    ]  # fmt: skip
    return pairs(rows, indent=2)


def _nothing(again: Again) -> str:
    took = seconds(again.deployed.seconds)
    return f"no change on any host in {took}; none of {again.services} services restarted"


def _members(members: list[dict[str, Any]]) -> str:
    return ", ".join(f"{member['name']} {member['role'].replace('_', ' ')}" for member in members)


def _moment(text: str) -> str:
    return timestamp(datetime.fromisoformat(text))


def _against(measured: dict[str, float]) -> str:
    return f"{seconds(measured['seconds'])} measured, {seconds(measured['promised'])} promised"
