"""What a person does to a fleet, for the demo and the lab tests: deploy it, ask its hosts, see what restarted."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ops.deploys.inventory import Inventory, load
from ops.errors import Exit, OpsError, Unreachable
from ops.lab import inventory as lab_inventory
from ops.lab import paths, ssh

CHECKOUT = Path(__file__).resolve().parents[2]
INVENTORY = Path("inventories/lab/hosts.py")
_OPERATION = re.compile(r"--> Starting operation: (.*)")

# What must go on running through a deploy that changes nothing: units, and the process of PostgreSQL.
UNITS = (
    "etcd",
    "haproxy",
    "ops-archiver",
    "ops-exporter",
    "ops-fleet-exporter",
    "ops-heartbeat",
    "patroni",
    "pgbouncer",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
    "redis-sentinel",
    "redis-server",
    "seaweedfs",
)
PROCESSES = (*UNITS, "postgres")
_STARTED = "ExecMainStartTimestamp"
_START_TIMES = (
    f"systemctl show -p Id -p {_STARTED} {' '.join(UNITS)}; echo; echo Id=postgres; "
    f"echo {_STARTED}=$(ps -o lstart= -p $(head -1 /var/lib/postgresql/*/*/postmaster.pid) 2>/dev/null)"
)


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


def members(host: str) -> list[dict[str, Any]]:
    """The members of its cluster as Patroni on `host` has them; Unreachable where it does not say.

    Asked from here, without a login and the start of a program there: whoever waits asks it often.
    """
    inventory = _declared()
    cluster = inventory.cluster_of(host)
    assert cluster
    url = f"https://{_addresses()[host]}:{inventory.patroni(cluster).port}/cluster"
    try:
        trust = ssl.create_default_context(cafile=inventory.site.pki / "ca.crt")
        with urllib.request.urlopen(url, timeout=5, context=trust) as answer:
            return list(json.load(answer).get("members", []))
    except (OSError, ValueError) as error:
        raise Unreachable(f"Patroni on {host} does not answer", detail=str(error)) from None


@cache
def _declared() -> Inventory:
    return load(CHECKOUT / INVENTORY)


@cache
def _addresses() -> dict[str, str]:
    return {host.name: str(host.address) for host in lab_inventory.read(paths.from_environment())}


def leader(hosts: Iterable[str]) -> str:
    """The member that leads, asked of whichever answers; Unreachable where none knows."""
    for host in hosts:
        with suppress(Unreachable):
            for member in members(host):
                if member["role"] == "leader" and member["state"] == "running":
                    return str(member["name"])
    raise Unreachable("no member knows a leader")


def start_times(hosts: Iterable[str]) -> dict[str, str]:
    """When each service of each host was started: `pg1 etcd` -> a moment. What a host lacks is left out."""
    asked = list(hosts)
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda host: ask(host, _START_TIMES), asked))
    found = {}
    for host, answer in zip(asked, answers, strict=True):
        for block in answer.split("\n\n"):
            shown = dict(line.split("=", 1) for line in block.splitlines())
            if shown[_STARTED]:
                found[f"{host} {shown['Id'].removesuffix('.service')}"] = shown[_STARTED]
    return found
