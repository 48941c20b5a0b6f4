"""What a person does to a fleet, for the demo and the lab tests: deploy it, ask its hosts, see what restarted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import Exit, OpsError, Unreachable
from ops.lab import paths, ssh

CHECKOUT = Path(__file__).resolve().parents[2]
INVENTORY = Path("inventories/lab/hosts.py")
_OPERATION = re.compile(r"--> Starting operation: (.*)")

# What must go on running through a deploy that changes nothing: unit, or the process of a file with its pid.
PROCESSES = {
    "etcd": "systemctl show -P ExecMainStartTimestamp etcd",
    "patroni": "systemctl show -P ExecMainStartTimestamp patroni",
    "postgres": "ps -o lstart= -p $(head -1 /var/lib/postgresql/*/*/postmaster.pid)",
    "pgbouncer": "systemctl show -P ExecMainStartTimestamp pgbouncer",
    "haproxy": "systemctl show -P ExecMainStartTimestamp haproxy",
    "seaweedfs": "systemctl show -P ExecMainStartTimestamp seaweedfs",
    "ops-archiver": "systemctl show -P ExecMainStartTimestamp ops-archiver",
    "ops-heartbeat": "systemctl show -P ExecMainStartTimestamp ops-heartbeat",
    "redis-server": "systemctl show -P ExecMainStartTimestamp redis-server",
    "redis-sentinel": "systemctl show -P ExecMainStartTimestamp redis-sentinel",
}


@dataclass(frozen=True)
class Deployed:
    """What a deploy did. `changes`: operation name -> hosts that it changed. `operations` counts them per host."""

    seconds: float
    operations: int
    changes: dict[str, list[str]]


def deploy(log: Path, *arguments: str, progress: Callable[[str], None] = lambda _: None) -> Deployed:
    """Run pyinfra on the lab's inventory, its words going to `log`. OpsError with the end of the log where it fails."""
    command = [f"{Path(sys.executable).parent}/pyinfra", "-y", "--json", *arguments, str(INVENTORY), "deploy.py"]
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with (
        log.open("w") as words,
        tempfile.TemporaryFile("w+") as answer,  # a pipe that nobody reads yet would hold pyinfra up once it is full
        subprocess.Popen(command, cwd=CHECKOUT, stdout=answer, stderr=subprocess.PIPE, text=True) as run,
    ):
        assert run.stderr
        for line in run.stderr:
            words.write(line)
            if match := _OPERATION.search(line):
                progress(match[1].strip())
        run.wait()
        answer.seek(0)
        document = answer.read()
    if run.returncode:
        tail = [line for line in log.read_text().splitlines() if line.strip()][-12:]
        raise OpsError(f"the deploy failed (exit {run.returncode})", detail="\n".join(tail), hint=f"all of it: {log}")
    return _read(json.loads(document), time.monotonic() - start)


def _read(document: dict[str, Any], seconds: float) -> Deployed:
    results = document["results"]
    if results["failed_hosts"] or results["totals"]["error"]:
        raise OpsError(f"the deploy failed on {', '.join(results['failed_hosts'])}")
    changes = {operation["name"]: operation["success"] for operation in results["operations"] if operation["success"]}
    return Deployed(seconds, results["totals"]["hosts"], changes)


def run(host: str, command: str, *, stdin: str = "", deadline: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a shell command as root on a host; its exit code is the caller's to judge. Unreachable past `deadline`."""
    argv = ssh.command(paths.from_environment(), host, command)
    try:
        return subprocess.run(argv, capture_output=True, text=True, input=stdin, timeout=deadline, check=False)
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{host} did not finish within {deadline:.0f} s: {command}") from None


def ask(host: str, command: str, *, deadline: float = 120) -> str:
    """What a shell command prints on a host; OpsError with its words where it fails."""
    outcome = run(host, command, deadline=deadline)
    if outcome.returncode:
        raise OpsError(
            f"{host}: `{command}` failed (exit {outcome.returncode})",
            detail=(outcome.stderr or outcome.stdout).strip()[-2000:],
            hint=f"look there: ops lab ssh {host}",
        )
    return outcome.stdout.strip()


def ask_json(host: str, command: str, *, deadline: float = 120) -> Any:
    """What a command of ours prints with --json."""
    return json.loads(ask(host, command, deadline=deadline))


def controller_json(*arguments: str) -> Any:
    """What `ops … --json` prints on this machine about the lab's inventory; OpsError where it could not find out."""
    command = [sys.executable, "-m", "ops", *arguments, str(INVENTORY), "--json"]
    outcome = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if outcome.returncode > Exit.NO:
        words = (outcome.stderr or outcome.stdout).strip()[-2000:]
        raise OpsError(f"`ops {' '.join(arguments)}` failed (exit {outcome.returncode})", detail=words)
    return json.loads(outcome.stdout)


def sql(host: str, statement: str, database: str = "postgres") -> str:
    """One statement as the superuser of the server on `host`; its rows as psql prints them, unaligned."""
    quoted = statement.replace("'", "'\\''")
    return ask(host, f"cd / && runuser -u postgres -- psql -XAtqv ON_ERROR_STOP=1 -d {database} -c '{quoted}'")


def leader(members: Iterable[str]) -> str:
    """The member that leads, asked of whichever answers; Unreachable where none knows."""
    for host in members:
        outcome = run(host, "ops cluster show --json", deadline=20)
        try:
            document = json.loads(outcome.stdout)
        except ValueError:
            continue
        for member in document.get("members", []):
            if member["role"] == "leader" and member["state"] == "running":
                return str(member["name"])
    raise Unreachable("no member knows a leader")


def start_times(hosts: Iterable[str]) -> dict[str, str]:
    """When each service of each host was started: `pg1 etcd` -> a moment. What a host lacks is left out."""
    script = "; ".join(f'echo "{name}=$({command} 2>/dev/null)"' for name, command in PROCESSES.items())
    found = {}
    for host in hosts:
        for line in ask(host, script).splitlines():
            name, _, moment = line.partition("=")
            if moment.strip():
                found[f"{host} {name}"] = moment.strip()
    return found
