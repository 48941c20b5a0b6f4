"""The control file: which database a data directory holds."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OpsError
from ops.model.lsn import LSN

# ControlFileData (src/include/catalog/pg_control.h) begins with the system identifier and the version of the
# file's own layout, in the byte order of the machine.
_HEAD = struct.Struct("=QI")


@dataclass(frozen=True)
class ControlData:
    """What the first bytes of `global/pg_control` say. They never change, so that a running server does no harm."""

    system_identifier: int
    layout_version: int

    @classmethod
    def read(cls, data_dir: Path) -> ControlData:
        """Of the database in `data_dir`; OpsError where there is none."""
        return cls.read_from(control_file(data_dir))

    @classmethod
    def read_from(cls, path: Path) -> ControlData:
        """From a control file, wherever it is; OpsError where it is none."""
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD.size)
        except OSError as error:
            raise OpsError(
                f"could not read {path}",
                detail=error.strerror,
                hint="Run it in the data directory, as PostgreSQL does, or name that with --data-dir.",
            ) from error
        system_identifier, layout_version = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        # The version counts hundreds of PostgreSQL's major versions: 1300 for 13 to 17, 1800 for 18.
        if system_identifier == 0 or not 900 <= layout_version < 10_000:
            raise OpsError(f"{path} is no control file of PostgreSQL", detail=f"it begins with {head.hex(' ')}")
        return cls(system_identifier, layout_version)


def control_file(data_dir: Path) -> Path:
    return data_dir / "global" / "pg_control"


def first_data_dir(candidates: Iterable[Path | None]) -> Path | None:
    """The first of several places that holds a database; None where none does."""
    return next((place for place in candidates if place is not None and control_file(place).is_file()), None)


def major_version(data_dir: Path) -> int:
    """PostgreSQL's major version, as `PG_VERSION` in the data directory has it."""
    path = data_dir / "PG_VERSION"
    try:
        return int(path.read_text().partition(".")[0])
    except (OSError, ValueError) as error:
        raise OpsError(f"could not read PostgreSQL's version from {path}", detail=str(error)) from error


@dataclass(frozen=True)
class Checkpoint:
    """The latest checkpoint, of a standby the latest restartpoint: the server has all WAL before `redo`."""

    timeline: int
    redo: LSN


def checkpoint(bin_dir: Path, data_dir: Path) -> Checkpoint:
    """The latest checkpoint of the database in `data_dir`, by its pg_controldata. The server may run."""
    fields = _control_data(bin_dir, data_dir, "Latest checkpoint's TimeLineID", "Latest checkpoint's REDO location")
    return Checkpoint(int(fields[0]), LSN.parse(fields[1]))


def segment_size(bin_dir: Path, data_dir: Path) -> int:
    """Bytes in a WAL segment of the database in `data_dir`, by its pg_controldata."""
    return int(_control_data(bin_dir, data_dir, "Bytes per WAL segment")[0])


def _control_data(bin_dir: Path, data_dir: Path, *labels: str) -> list[str]:
    """What pg_controldata says under these labels."""
    command = [bin_dir / "pg_controldata", data_dir]
    try:
        output = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise OpsError(
            f"could not run {command[0]}",
            detail=str(getattr(error, "stderr", None) or error),
            hint="postgres.bin_dir in the configuration has to be the server's own version.",
        ) from error
    found = {label: value.strip() for label, _, value in (line.partition(":") for line in output.splitlines())}
    if missing := [label for label in labels if label not in found]:
        raise OpsError(f"{command[0]} did not say: {', '.join(missing)}", detail=output[:500])
    return [found[label] for label in labels]
