"""What a restored data directory is told before its server starts: where recovery reads from, where it ends."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Literal

from ops.model.command import restore_command
from ops.model.target import TARGET_SETTINGS, Target
from ops.postgres.conf import name_in, render
from ops.wal import client

Action = Literal["pause", "promote", "shutdown"]

_OURS = frozenset(
    {
        *TARGET_SETTINGS,
        "recovery_target_action",
        "recovery_target_timeline",
        "restore_command",
        "primary_conninfo",
        "primary_slot_name",
        "recovery_end_command",
        "archive_cleanup_command",
        "recovery_min_apply_delay",
        "recovery_prefetch",
    }
)


def fetching(socket: Path, config_file: Path | None, repository: str | None = None) -> str:
    """A restore_command by way of the archiver service at `socket`; where that is silent, `ops` does the work itself.

    Where no `repository` is named, all count: a recovery ends only when each has said that it has no more. It goes on
    with the live tail where the archive ends: it either wants all that there is, or fails where it does not reach its
    target.
    """
    # The server will not have our environment. A percent sign means something in a restore_command.
    ops = Path(sys.executable).with_name("ops")
    words = [sys.executable, "-I", "-S", client.__file__, "--socket", str(socket), "--ops", str(ops)]
    chosen = {"--config": config_file and str(config_file), "--repository": repository}
    options = ["--tail", *(word for name, value in chosen.items() if value for word in (name, value))]
    return restore_command(*(shlex.join(part).replace("%", "%%") for part in (words, options)))


def write_recovery(
    directory: Path,
    target: Target,
    timeline: int,
    fetch: str,
    *,
    action: Action = "pause",
) -> None:
    """Make the server in `directory` recover to `target` along `timeline` when it is started; `fetch` gets its WAL.

    The settings go into postgresql.auto.conf, whose other lines stay. What an earlier recovery of the same data
    was told is taken out. The timeline is always a number: with `latest`, PostgreSQL looks for history files
    one after the other and takes the first that is missing for the end, so that a lost one would cut recovery
    short in silence.
    """
    settings = {
        "restore_command": fetch,
        "recovery_target_timeline": str(timeline),
        # It would look 512 kB of WAL ahead, which is a dozen segments of a quiet database, each of them fetched for
        # nothing, and perhaps beyond the target into a hole, for which restore_command stops the server.
        "recovery_prefetch": "off",
        **target.settings(),
    }
    if target.settings():
        settings["recovery_target_action"] = action
    file = directory / "postgresql.auto.conf"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    kept = [line for line in lines if name_in(line) not in _OURS]
    file.write_text("".join(kept) + render(settings))
    file.chmod(0o600)
    (directory / "recovery.signal").touch(mode=0o600)
    (directory / "standby.signal").unlink(missing_ok=True)


def forget_recovery(directory: Path) -> None:
    """Take the settings of a recovery that has ended out of postgresql.auto.conf: the next one is somebody else's."""
    file = directory / "postgresql.auto.conf"
    kept = [line for line in file.read_text().splitlines(keepends=True) if name_in(line) not in _OURS]
    file.write_text("".join(kept))
