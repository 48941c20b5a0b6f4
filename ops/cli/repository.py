"""`ops repository`: the object storage that WAL and backups go to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ops.cli.host import as_json_flag, begin, chosen, configured
from ops.cli.mirror import mirror
from ops.cli.output import emit_json, pairs, size, timestamp
from ops.errors import Exit, OpsError, UsageError
from ops.model.layout import Layout, cluster_root
from ops.postgres.control import ControlData, major_version, segment_size
from ops.store import open_store
from ops.store.base import Store
from ops.store.probe import Probe, probe, record, recorded
from ops.store.repository import RepositoryInfo, ensure, find, repository_at

# S3 refuses requests whose time is off by more than 15 minutes; much less is a clock that nobody looks after.
_CLOCK_TOLERANCE = 5.0


@click.group()
def repository() -> None:
    """The object storage that WAL and backups go to."""


repository.add_command(mirror)


@repository.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Instead of postgres.data_dir in the configuration.")
@chosen
@configured
@as_json_flag
def init(data_dir: Path | None, repository_name: str | None, config_file: Path | None, as_json: bool) -> None:
    """Make the repository of this host's cluster, and try what the store does; both are recorded in it.

    Safe to repeat. Exit 1 where the store overwrites, or holds another server's repository.
    """
    config = begin(config_file, repository=repository_name)
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
        repository_at(store, layout, config.repository.encryption, config.keys),
        segment_size=segment_size(config.postgres.bin_dir, place),
        postgres_version=major_version(place),
    )
    record(store, layout, found)
    if as_json:
        emit_json(_as_json(store, layout, info, found))
        return
    click.echo(pairs(_facts(store, layout, info, found)))
    if not found.cleaned:
        click.echo(f"\nIt does not let us delete: one object of 64 bytes stays below {layout.root}probe/")


@repository.command()
@chosen
@configured
@as_json_flag
@click.pass_context
def show(ctx: click.Context, repository_name: str | None, config_file: Path | None, as_json: bool) -> None:
    """The repositories of this cluster, one for each database that ever bore its name. Exit 1 where there is none."""
    config = begin(config_file, repository=repository_name)
    store = open_store(config.repository)
    found = [
        (one.layout, one.describe(), recorded(store, one.layout))
        for one in find(store, config.repository.prefix, config.cluster)
    ]
    if as_json:
        emit_json([_as_json(store, *one) for one in found])
    elif found:
        click.echo("\n\n".join(pairs(_facts(store, *one)) for one in found))
    else:
        root = cluster_root(config.repository.prefix, config.cluster)
        click.echo(f"nothing below {root} in {store.name}; the first WAL push or backup creates it", err=True)
    ctx.exit(Exit.OK if found else Exit.NO)


def _explain(found: Probe) -> str:
    if not found.conditional_writes:
        return "a second PUT of the same key with If-None-Match: * was accepted, and replaced the first object"
    return "an object that was put came back with other contents"


# The block key stays out of both: it is what names blocks unguessably.
def _facts(store: Store, layout: Layout, info: RepositoryInfo, found: Probe | None) -> list[tuple[str, object]]:
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
        *_tried(found),
    ]


def _tried(found: Probe | None) -> list[tuple[str, object]]:
    """What the store was found to do, in words."""
    if found is None:
        return [("tried", "never; `ops repository init` does it")]
    traits, clock = found.traits, f"{found.clock_offset:+.1f} s"
    if abs(found.clock_offset) > _CLOCK_TOLERANCE:
        clock += ": set the clocks right, of this host and of the store"
    checksums = {True: "a wrong one is refused", False: "not looked at", None: "not known"}[traits.checksums]
    return [
        ("tried", f"{timestamp(found.at.replace(microsecond=0))} (UTC)"),
        ("overwriting", "refused" if found.conditional_writes else "ACCEPTED"),
        ("reading back", "the same bytes" if found.reads_back else "OTHER BYTES"),
        ("checksums", checksums),
        ("deleting", "allowed" if found.cleaned else "refused"),
        ("store's clock", clock),
        ("versioning", traits.versioning or "not known"),
        ("Object Lock", traits.object_lock or "not known"),
    ]


def _as_json(store: Store, layout: Layout, info: RepositoryInfo, found: Probe | None) -> dict[str, Any]:
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
        "probe": found and found.as_dict(),
    }
