"""PostgreSQL's own programs that read a data directory or a WAL segment, and what their output means."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from ops.errors import OpsError
from ops.model.lsn import LSN
from ops.model.oracle import Commit, Scan

# What a server in recovery must be started with at least: the name in pg_controldata, the name of the setting.
_REQUIRED = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
    "track_commit_timestamp setting": "track_commit_timestamp",
}
_COMMIT = re.compile(
    r"tx: +(?P<xid>\d+), lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+), .* desc: COMMIT(?:_PREPARED)? (?:(?P<prepared>\d+): )?"
    r"(?P<time>\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC"
)
_BAD_CHECKSUM = re.compile(r'checksum verification failed in file "([^"]+)", block (\d+)')
_SCANNED = re.compile(r"(Files scanned|Blocks scanned|Bad checksums): +(\d+)")


def required_settings(bin_dir: Path, data_dir: Path) -> dict[str, str]:
    """The settings that the data directory's control file asks for; replay raises them as the primary did."""
    result = run([bin_dir / "pg_controldata", data_dir])
    if result.returncode:
        raise OpsError(f"pg_controldata does not understand {data_dir}", detail=_output(result))
    fields = dict(line.split(":", 1) for line in result.stdout.splitlines() if ":" in line)
    return {setting: fields[label].strip() for label, setting in _REQUIRED.items() if label in fields}


def newest_commit(bin_dir: Path, segment: Path, *, unfinished: bool = False) -> Commit | None:
    """The last commit whose record lies within the segment file; None where no transaction committed in it.

    An `unfinished` segment ends where its WAL does, which pg_waldump reports as an error after all else.
    """
    result = run([bin_dir / "pg_waldump", "--rmgr=Transaction", segment])
    if result.returncode and not unfinished:
        raise OpsError(f"pg_waldump does not understand {segment.name}", detail=_output(result))
    return last_commit(result.stdout.splitlines())


def last_commit(lines: Iterable[str]) -> Commit | None:
    """The last commit in the output of pg_waldump under TZ=UTC."""
    found = [match for line in lines if "desc: COMMIT" in line and (match := _COMMIT.search(line))]
    if not found:
        return None
    last = found[-1]
    time = datetime.fromisoformat(last["time"]).replace(tzinfo=UTC)
    return Commit(int(last["prepared"] or last["xid"]), LSN.parse(last["lsn"]), time)


def check_checksums(bin_dir: Path, data_dir: Path) -> Scan:
    """Every page of a stopped server against its checksum."""
    result = run([bin_dir / "pg_checksums", "--check", "-D", data_dir])
    counts = dict(_SCANNED.findall(result.stdout))
    found = _BAD_CHECKSUM.findall(result.stderr)
    bad = tuple(f"bad checksum in {file.removeprefix(f'{data_dir}/')}, block {block}" for file, block in found)
    if result.returncode and not bad:
        bad = (f"pg_checksums: {_output(result)}",)
    return Scan(f"{counts.get('Blocks scanned', 0)} pages in {counts.get('Files scanned', 0)} files", bad)


def run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a program of PostgreSQL to its end, in English and UTC, whatever the host speaks."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        # Not where we are: they refuse to run in a directory that we may not enter, such as root's.
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, cwd="/", check=False
        )
    except OSError as error:
        raise OpsError(
            f"cannot run {command[0]}",
            detail=str(error),
            hint="Install PostgreSQL, or set postgres.bin_dir in the configuration to where its programs are.",
        ) from error


def _output(result: subprocess.CompletedProcess[str]) -> str:
    text = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return "\n".join(text[-5:]) or f"it ended with exit code {result.returncode} and said nothing"
