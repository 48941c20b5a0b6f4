"""`ops backup expire`: let go of what the repository's policy does not keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ops.backup.expire import Outcome, policy_of
from ops.backup.expire import expire as expire_from
from ops.cli.host import as_json_flag, begin, chosen, configured, identified
from ops.cli.output import Shown, Steps, emit_json, size, table, timestamp
from ops.config import Config
from ops.model.retention import Policy
from ops.store import open_store
from ops.store.probe import recorded
from ops.store.repository import Repository, current, find, repository_at

_KINDS = {"backups": "backups", "packs": "packs", "wal": "WAL files", "copied": "notes of copies"}


@click.command("expire")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what may go, and why.")
@chosen
@identified
@configured
@as_json_flag
def expire(
    *,
    dry_run: bool,
    repository_name: str | None,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Let go of backups, packs and WAL that the repository's policy does not keep (`retention` in its section).

    What may go is named first, and removed by a later run after a grace, unless it is needed again. Where the store
    does not let us delete, what is pending is said, and nothing fails. Packs that stay for little of what is in them
    are named, too: the next backup does not build on them. Looks after all databases of the cluster's name.
    """
    config = begin(config_file, repository=repository_name)
    policy = policy_of(config.repository.retention, offsite=repository_name not in (None, "main"))
    steps = Steps(quiet=as_json)
    results = []
    for repository in _repositories(config, system_identifier):
        with steps.step(f"look at {repository.layout.root}"):
            outcome = expire_from(
                repository, policy, datetime.now(UTC), dry_run=dry_run,
                progress=lambda done, total: steps.note(f"{done} of {total} backups"), reporter=Shown(steps),
            )  # fmt: skip
        results.append((repository, outcome))
    if as_json:
        emit_json([_as_json(repository, outcome, policy, dry_run=dry_run) for repository, outcome in results])
        return
    for repository, outcome in results:
        _print(repository, outcome, dry_run=dry_run)


def _repositories(config: Config, system_identifier: int | None) -> list[Repository]:
    """That of the database asked for, or of all that ever had the cluster's name: an upgrade leaves one behind."""
    settings, store = config.repository, open_store(config.repository)
    found = [] if system_identifier else find(store, settings.prefix, config.cluster)
    found = found or [current(store, settings.prefix, config.cluster, system_identifier)]
    return [repository_at(store, one.layout, settings.encryption, config.keys) for one in found]


def _print(repository: Repository, outcome: Outcome, *, dry_run: bool) -> None:
    click.echo(f"database {repository.system_identifier}")
    if outcome.decision.kept:
        click.echo(table(sorted(outcome.decision.kept.items()), ("backup that stays", "why")))
    if outcome.decision.blocked:
        click.echo(f"nothing may go: {outcome.decision.blocked}")
    if outcome.goes and dry_run:
        rows = [(key, size(outcome.size([key])), _when(outcome, key), why) for key, why in outcome.goes.items()]
        click.echo("\n" + table(rows, ("may go", "stored", "condemned", "why"), right=("stored",)))
    if outcome.sparse and dry_run:
        packs = [(f"packs/{one.pack.id}", size(one.pack.size), one.reason) for one in outcome.sparse]
        click.echo("\n" + table(packs, ("mostly dead", "stored", "why it stays"), right=("stored",)))
    lines = list(_figures(outcome))
    click.echo("\n" + "\n".join(lines or ["nothing to let go of"]))
    if outcome.removed and (found := recorded(repository.store, repository.layout)) and found.traits.versioning:
        click.echo(f"versioning of the bucket is {found.traits.versioning}: bytes may go by its own rules only")


def _figures(outcome: Outcome) -> Iterator[str]:
    if outcome.removed:
        yield f"removed: {_sum(outcome, outcome.removed)}"
    if outcome.pending:
        yield f"pending: {_sum(outcome, outcome.pending)}"
    if outcome.refused:
        yield f"         the store does not let us delete: {next(iter(outcome.refused.values())).detail}"
    if outcome.rescued:
        yield f"rescued: {_sum(outcome, outcome.rescued)}, needed again"
    if outcome.sparse:
        stored, needed, renewed = (size(total) for total in _sparse_bytes(outcome))
        yield f"mostly dead: {len(outcome.sparse)} packs, {stored}, of which {needed} are needed"
        yield f"         the next backup stores {renewed} of that anew, and does not build on them"
    if outcome.held_up:
        yield f"packs and WAL are left to the next run: {outcome.held_up}"


def _sparse_bytes(outcome: Outcome) -> tuple[int, int, int]:
    """Of the sparse packs together: as stored, what is needed of it, and what the next backup stores anew."""
    return (
        sum(one.pack.size for one in outcome.sparse),
        sum(one.bytes_of(one.needed) for one in outcome.sparse),
        sum(one.bytes_of(one.renewed) for one in outcome.sparse),
    )


def _when(outcome: Outcome, key: str) -> str:
    since = outcome.waiting.get(key)
    return timestamp(since.replace(microsecond=0)) if since else "long enough ago"


def _sum(outcome: Outcome, keys: list[str]) -> str:
    counts = Counter(key.split("/")[0] for key in keys if not key.endswith("/files"))
    objects = ", ".join(f"{counts[kind]} {word}" for kind, word in _KINDS.items() if counts[kind])
    return f"{objects or '1 list of files'}, {size(outcome.size(keys))}"


def _as_json(repository: Repository, outcome: Outcome, policy: Policy, *, dry_run: bool) -> dict[str, Any]:
    return {
        "cluster": repository.layout.cluster,
        "system_identifier": repository.system_identifier,
        "dry_run": dry_run,
        "policy": {
            "days": policy.days, "count": policy.count, "monthly_years": policy.monthly_years,
            "grace_hours": policy.grace.total_seconds() / 3600,
        },
        "blocked": outcome.decision.blocked,
        "kept": outcome.decision.kept,
        "may_go": [
            {"object": key, "reason": why, "stored_bytes": outcome.size([key]), "condemned": outcome.waiting.get(key)}
            for key, why in outcome.goes.items()
        ],
        "sparse": [
            {
                "object": f"packs/{one.pack.id}", "reason": one.reason, "stored_bytes": one.pack.size,
                "needed_bytes": one.bytes_of(one.needed), "renewed_bytes": one.bytes_of(one.renewed),
            }
            for one in outcome.sparse
        ],
        "removed": outcome.removed,
        "removed_bytes": outcome.size(outcome.removed),
        "pending": len(outcome.pending),
        "pending_bytes": outcome.size(outcome.pending),
        "refused": len(outcome.refused),
        "rescued": outcome.rescued,
        "held_up": outcome.held_up,
    }  # fmt: skip
