"""`ops keys`: what opens the repository, and what would be lost with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ops.backup.exposure import Exposure, Uses, examine
from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.output import Steps, emit_json, pairs, size, table, timestamp
from ops.errors import Exit, UsageError
from ops.model.keys import created_at
from ops.store.keyring import Keyring
from ops.store.repository import Repository


@click.group()
def keys() -> None:
    """The keys of an encrypted repository.

    Objects are sealed with data keys, which lie in the repository wrapped by key-encryption keys; those lie on the
    hosts alone (keys.directory in the configuration). Keep a copy of them where a lost fleet cannot take it along.
    """


@keys.command("list")
@chosen
@identified
@configured
@as_json_flag
def list_command(
    repository_name: str | None, system_identifier: int | None, config_file: Path | None, as_json: bool
) -> None:
    """The data keys of the repository, oldest first, and the key-encryption keys that open them."""
    _, keyring = _opened(config_file, repository_name, system_identifier)
    here, wraps = keyring.files.ids(), keyring.wraps()
    if as_json:
        emit_json({
            "here": [{"id": name, "fingerprint": keyring.files.get(name).fingerprint} for name in here],
            "data_keys": [
                {"id": key, "made": created_at(key), "opened_by": sorted(keks), "here": bool(keks & set(here))}
                for key, keks in wraps.items()
            ],
        })  # fmt: skip
        return
    newest = max(wraps, default=None)
    rows = [
        (key, timestamp(created_at(key)), ", ".join(sorted(keks)), _yes(bool(keks & set(here))), _yes(key == newest))
        for key, keks in wraps.items()
    ]
    click.echo(table(rows, ("data key", "made at (UTC)", "opened by", "here", "seals what is new")))
    found = [(name, keyring.files.get(name).fingerprint) for name in here]
    click.echo("\n" + table(found, ("key on this host", "fingerprint")))


@keys.command()
@click.option("--data-key", is_flag=True, help="Also make a new data key, for all that is stored from now on.")
@chosen
@identified
@configured
@as_json_flag
def rotate(
    data_key: bool, repository_name: str | None, system_identifier: int | None, config_file: Path | None, as_json: bool
) -> None:
    """Wrap every data key with the current key-encryption key as well. No stored data is read or written.

    First deploy the new key beside the old one to every host, and name it as the current one. Once this has run,
    the old one may go. Safe to repeat.
    """
    _, keyring = _opened(config_file, repository_name, system_identifier)
    current = keyring.files.current()
    wraps = keyring.wraps()
    added = [key for key, keks in wraps.items() if current.id not in keks]
    # All are opened before the first is wrapped: a key that this host cannot open is found before anything changes.
    for key in [keyring.get(key) for key in wraps]:
        if key.id in added:
            keyring.wrap(key, current)
    made = keyring.make().id if data_key else None
    if as_json:
        emit_json(
            {"key_encryption_key": current.id, "wrapped": added, "already": len(wraps) - len(added), "made": made}
        )
        return
    click.echo(f"{current.id} opens every data key: {len(wraps)}, of which {len(added)} newly")
    if made:
        click.echo(f"{made} seals what is stored from now on; hosts take it up within five minutes")


@keys.command()
@click.option("--without", "lost", multiple=True, metavar="KEY", help="As if this key-encryption key were lost.")
@chosen
@identified
@configured
@as_json_flag
@click.pass_context
def check(  # noqa: PLR0917
    ctx: click.Context,
    lost: tuple[str, ...],
    repository_name: str | None,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """What the loss of each key-encryption key would cost, and whether this host can open everything now.

    Looks at every object. Exit 0: all can be opened here, also without the keys of --without. 1: something cannot, or
    is damaged. 3: the store gave no answer.
    """
    repository, keyring = _opened(config_file, repository_name, system_identifier)
    steps = Steps(quiet=as_json)
    with steps.step("look at every object"):
        found = examine(repository, keyring, lambda done, total: steps.note(f"{done} of {total}"))
    known = sorted(set(keyring.files.ids()).union(*found.wraps.values()))
    for name in lost:
        if name not in known:
            raise UsageError(f"there is no key-encryption key {name!r}", detail=f"There are: {', '.join(known)}.")
    asked = found.cost(lost)
    good = not found.closed and not found.problems and asked.nothing
    if as_json:
        emit_json({
            "ok": good,
            "costs": {name: _as_json(found.cost([name])) for name in known},
            "without": {"keys": list(lost), "lost": _as_json(asked)} if lost else None,
            "unreadable_here": _as_json(found.unreadable),
            "closed": found.closed,
            "problems": list(found.problems),
        })  # fmt: skip
    else:
        _print(found, known, keyring.files.ids(), lost)
    ctx.exit(Exit.OK if good else Exit.NO)


def _print(found: Exposure, known: list[str], here: list[str], lost: tuple[str, ...]) -> None:
    rows = [(name, _yes(name in here), *_figures(found.cost([name]))) for name in known]
    headers = ("key", "here", "WAL files", "backups", "packs", "stored")
    click.echo("What only this key opens, and its loss would cost:\n")
    click.echo(table(rows, headers, right=headers[2:]))
    for data_key, why in found.closed.items():
        click.echo(f"\nCLOSED   data key {data_key}: {why}")
        click.echo(_describe(found.of([data_key])))
    if lost and not found.cost(lost).nothing:
        click.echo(f"\nLOST     without {' and '.join(lost)}")
        click.echo(_describe(found.cost(lost)))
    for problem in found.problems:
        click.echo(f"\nDAMAGED  {problem}")


def _describe(uses: Uses) -> str:
    items: list[tuple[str, object]] = [
        ("WAL", f"{uses.wal[0]} to {uses.wal[-1]} ({len(uses.wal)} files)" if uses.wal else "none"),
        ("backups", ", ".join(sorted(uses.backups)) or "none"),
        ("packs", len(uses.packs)),
    ]
    return pairs(items, indent=9)


def _figures(uses: Uses) -> tuple[int, int, int, str]:
    return len(uses.wal), len(uses.backups), len(uses.packs), size(uses.size)


def _as_json(uses: Uses) -> dict[str, Any]:
    return {"wal": uses.wal, "backups": sorted(uses.backups), "packs": uses.packs, "stored_bytes": uses.size}


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _opened(
    config_file: Path | None, repository_name: str | None, system_identifier: int | None
) -> tuple[Repository, Keyring]:
    config = begin(config_file, repository=repository_name)
    if config.repository.encryption == "none":
        raise UsageError(
            "this repository has no keys: the configuration declares it to be plaintext",
            hint='It says encryption = "none" in the section [repository].',
        )
    repository = repository_of(config, system_identifier)
    assert repository.keyring is not None
    return repository, repository.keyring
