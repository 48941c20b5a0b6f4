"""What every command on a host begins with: the same options, the configuration, and the right user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ops.errors import UsageError

if TYPE_CHECKING:
    from ops.config import Config
    from ops.fleet import Fleet
    from ops.store.repository import Repository

configured = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Instead of $OPS_CONFIG or /etc/ops/ops.toml."
)
identified = click.option(
    "--system-identifier", type=int, help="Which database, when several of this cluster's name are in the store."
)
chosen = click.option(
    "--repository", "repository_name", metavar="NAME", help="Another repository than `main`, by its configured name."
)
as_json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def begin(config_file: Path | None, cluster: str | None = None, repository: str | None = None) -> Config:
    """The configuration, once we are the user whom it names: credentials and data are that user's.

    `cluster` replaces the configuration's; `repository` names one of several as the one that counts.
    """
    # Imported here because `ops wal push` and `fetch` import this module outside of their guard.
    from ops.config import load  # noqa: PLC0415

    config = load(config_file).at(repository)
    become(config.postgres.user)
    return config.model_copy(update={"cluster": cluster}) if cluster else config


def begin_watching() -> Fleet:
    """The fleet map, once we are the user whose key identifies us: PostgreSQL's on a database host, `ops` on a
    monitoring host."""
    from ops.fleet import load  # noqa: PLC0415

    fleet = load()
    key = fleet.identity.key_file
    try:
        owner = pwd.getpwuid(key.stat().st_uid).pw_name
    except (OSError, KeyError) as error:
        raise UsageError(
            f"could not find out whose {key} is", detail=str(error), hint="The deploy writes it."
        ) from error
    become(owner)
    return fleet


def repository_of(config: Config, system_identifier: int | None) -> Repository:
    """The cluster's repository in the store that the configuration names."""
    from ops.store import open_store  # noqa: PLC0415
    from ops.store.repository import current, repository_at  # noqa: PLC0415

    settings, store = config.repository, open_store(config.repository)
    found = current(store, settings.prefix, config.cluster, system_identifier)
    return repository_at(store, found.layout, settings.encryption, config.keys)


def become(user: str) -> None:
    """Drop from root to `user`, for good: commands of the host side may be called by an administrator.

    Nothing happens for anybody but root; UsageError for an unknown user.
    """
    if os.geteuid() != 0:
        return
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise UsageError(
            f"there is no user {user!r} on this host",
            hint="Set postgres.user in the configuration to the user that PostgreSQL runs as.",
        ) from None
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ.update(HOME=account.pw_dir, USER=user, LOGNAME=user)
    os.umask(0o077)
