"""`ops repository`: the object storage that WAL and backups go to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ops.cli.host import as_json_flag, begin, configured
from ops.cli.output import emit_json, pairs, size
from ops.errors import Exit, OpsError, UsageError
from ops.model.layout import Layout, cluster_root
from ops.postgres.control import ControlData, major_version, segment_size
from ops.store import open_store
from ops.store.base import Store
from ops.store.repository import Probe, RepositoryInfo, ensure, find, probe


@click.group()
def repository() -> None:
    """The object storage that WAL and backups go to."""


@repository.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Instead of postgres.data_dir in the configuration.")
@configured
@as_json_flag
def init(data_dir: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Make the repository of this host's cluster, and try whether the store refuses to overwrite.

    Safe to repeat. Exit 1 where the store overwrites, or holds another server's repository.
    """
    config = begin(config_file)
    place = data_dir or config.postgres.data_dir
    if place is None:
        raise UsageError(
            "which database is the repository for?",
            hint="Name its data directory with --data-dir, or as postgres.data_dir in the configuration.",
        )
    store = open_store(config.repository)
    layout = Layout(config.repository.prefix, config.cluster, ControlData.read(place).system_identifier)
    found = probe(store, layout)
    if not found.usable:
        raise OpsError(
            f"{store.name} does not keep what we rely on",
            detail=_explain(found),
            hint="Use a store that honours If-None-Match on PUT. Nothing was set up.",
        )
    info = ensure(
        store,
        layout,
        segment_size=segment_size(config.postgres.bin_dir, place),
        postgres_version=major_version(place),
    )
    if as_json:
        emit_json(_as_json(store, layout, info) | {"probe_left_behind": not found.cleaned})
        return
    click.echo(pairs(_facts(store, layout, info)))
    click.echo("\nThe store refuses to overwrite, and returns what was put.")
    if not found.cleaned:
        click.echo(f"It does not let us delete: one object of 64 bytes stays below {layout.root}probe/")


@repository.command()
@configured
@as_json_flag
@click.pass_context
def show(ctx: click.Context, config_file: Path | None, as_json: bool) -> None:
    """The repositories of this cluster, one for each database that ever bore its name. Exit 1 where there is none."""
    config = begin(config_file)
    store = open_store(config.repository)
    found = find(store, config.repository.prefix, config.cluster)
    if as_json:
        emit_json([_as_json(store, one.layout, one.describe()) for one in found])
    elif found:
        click.echo("\n\n".join(pairs(_facts(store, one.layout, one.describe())) for one in found))
    else:
        root = cluster_root(config.repository.prefix, config.cluster)
        click.echo(f"nothing below {root} in {store.name}; the first WAL push or backup creates it", err=True)
    ctx.exit(Exit.OK if found else Exit.NO)


def _explain(found: Probe) -> str:
    if not found.conditional_writes:
        return "a second PUT of the same key with If-None-Match: * was accepted, and replaced the first object"
    return "an object that was put came back with other contents"


# The block key stays out of both: it is what names blocks unguessably.
def _facts(store: Store, layout: Layout, info: RepositoryInfo) -> list[tuple[str, object]]:
    return [
        ("store", store.name),
        ("folder", layout.root),
        ("cluster", info.cluster),
        ("system identifier", info.system_identifier),
        ("PostgreSQL", info.postgres_version),
        ("WAL segment", size(info.segment_size)),
        ("backup block", size(info.block_size)),
        ("encryption", info.encryption),
        ("format", info.format),
    ]


def _as_json(store: Store, layout: Layout, info: RepositoryInfo) -> dict[str, Any]:
    return {
        "store": store.name,
        "folder": layout.root,
        "cluster": info.cluster,
        "system_identifier": info.system_identifier,
        "postgres_version": info.postgres_version,
        "segment_size": info.segment_size,
        "block_size": info.block_size,
        "encryption": info.encryption,
        "format": info.format,
    }
