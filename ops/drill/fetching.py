"""How the server of a drill gets its WAL: through an archiver service that lives as long as the drill.

So a drill measures the recovery that a restore would have: segments are fetched ahead of replay, and where the service
dies, each by a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.backup.recovery import fetching
from ops.config import Config
from ops.wal.archiver.server import serving
from ops.wal.archiver.service import Service


@dataclass(frozen=True)
class Fetching:
    """The restore_command, and who answers it."""

    command: str
    service: Service

    def __str__(self) -> str:
        count, ahead = self.service.fetched
        return f"{count} files of WAL fetched, {ahead} of them ahead of replay"


@contextmanager
def fetching_ahead(config: Config, home: Path) -> Iterator[Fetching]:
    """The WAL of a drill in `home`, for this very repository: what another one holds proves nothing here.

    Its configuration goes into `home`: that of the host may name another cluster.
    """
    own = home / "ops.toml"
    own.write_text(_written(config))
    socket = home / "fetch"
    # Beside the data, so that a fetched segment is moved into place and not copied.
    wal = config.wal.model_copy(update={"socket": socket, "spool_dir": home / "spool"})
    postgres = config.postgres.model_copy(update={"data_dir": None})
    service = Service(config.model_copy(update={"wal": wal, "postgres": postgres, "repositories": {}}), own)
    with serving(socket, service):
        yield Fetching(fetching(socket, own), service)


def _written(config: Config) -> str:
    lines = [f"cluster = {json.dumps(config.cluster)}"]
    for table in ("repository", "keys"):
        settings = getattr(config, table).model_dump(mode="json", exclude_none=True)
        lines += [f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in settings.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """TOML takes plain values as JSON writes them, and tables of them nearly so."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)
