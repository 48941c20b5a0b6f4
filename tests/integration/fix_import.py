"""Samples of the old server's files, imported by the real command, and what can be said of every record in them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.database.target import Target
from ops.importing.sample import Sample
from ops.model.json_files import SECTIONS, TABLES
from ops.model.json_layout import Section

from ..waiting import wait_until
from .fix_postgres import OPS

TIMES = 0.02  # of the seeds' volume: 2,000 records


def sample(folder: Path, *, dirty: bool = True, times: float = TIMES) -> Path:
    """Files in a folder of their own."""
    Sample(times, 7, dirty=dirty).write(folder)
    return folder


def ops(*arguments: str | Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """`ops import …`; `limit`: bytes of memory that the process may map for data."""
    command = [str(OPS), "import", *map(str, arguments)]
    if limit:
        command = ["prlimit", f"--data={limit}", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def imported(target: Target, folder: Path, **options: int) -> dict[str, Any]:
    """The report of an import that has come to its end."""
    outcome = ops("json", folder, "--server", target.uri, "--folder", target.folder, "--json", **options)
    assert outcome.returncode == 0, outcome.stderr + outcome.stdout
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def killed(target: Target, folder: Path, after: float) -> bool:
    """Begin an import and kill it after so many seconds; whether it was still at work then."""
    process = subprocess.Popen(
        [str(OPS), "import", "json", str(folder), "--server", target.uri, "--folder", str(target.folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    still = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return still


@contextmanager
def at_work(target: Target, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """An import that has begun, in a process group of its own, and the process that reads for it."""
    with subprocess.Popen(
        [str(OPS), "import", "json", str(folder), "--server", target.uri, "--folder", str(target.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        (reader,) = wait_until("a process that reads", lambda: children.read_text().split())
        try:
            yield process, int(reader)
        finally:
            process.kill()


def content(target: Target) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that files go to, and every reject."""
    with target.connect() as connection:
        found = {
            name: connection.execute(f"SELECT t::text FROM public.{name} AS t ORDER BY 1".encode()).fetchall()
            for name in TABLES
        }
        rejects = "SELECT file, section, position, name, reason, record FROM ops.import_reject ORDER BY 1, 2, 3"
        return {**found, "rejects": connection.execute(rejects.encode()).fetchall()}


def entries(folder: Path, section: Section) -> Iterator[tuple[str | None, Any]]:
    """The records of a section as Python's json has them: another reader than ours, which has it all in memory."""
    whole = json.loads((folder / section.file).read_text(), object_pairs_hook=list)
    if section.name is not None:
        whole = dict(whole)[section.name]
    for one in whole:
        if section.by:
            yield one[0], dict(one[1])
        else:
            yield None, dict(one)


def counts(folder: Path) -> Counter[str]:
    """How many records each section of the sample has."""
    return Counter({one.title: sum(1 for _ in entries(folder, one)) for one in SECTIONS})
