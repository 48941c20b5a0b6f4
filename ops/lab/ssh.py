"""Logging in to lab hosts: one key for the lab, host keys that are known before a host first boots."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.lab.commands import run
from ops.lab.inventory import LabHost
from ops.lab.paths import Lab


def make_key(path: Path, comment: str) -> None:
    """A new ed25519 key pair, unless it is there."""
    if path.exists() and path.with_suffix(".pub").exists():
        return
    path.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)


def config(lab: Lab, hosts: Iterable[LabHost]) -> str:
    """An ssh_config for `ssh -F`, and for anything else that reads one."""
    lines = []
    for host in hosts:
        lines += [f"Host {host.name}", f"    HostName {host.address}", ""]
    common = {
        "User": "root",
        "IdentityFile": lab.ssh_key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": lab.known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "5",
        "ServerAliveInterval": "5",
        "LogLevel": "ERROR",
        # A login costs more than most of what is asked: who comes within a minute comes through the one before.
        "ControlMaster": "auto",
        "ControlPath": lab.ssh / "%n.control",
        "ControlPersist": "60",
    }
    return "\n".join([*lines, "Host *", *(f"    {key} {value}" for key, value in common.items())]) + "\n"


def known_hosts(keys: dict[LabHost, str]) -> str:
    """Every host under its name and its address, with its public key."""
    return "".join(f"{host.name},{host.address} {' '.join(key.split()[:2])}\n" for host, key in keys.items())


def command(lab: Lab, host: str, *argv: str) -> list[str]:
    return ["ssh", "-F", str(lab.ssh_config), host, *argv]


def close(lab: Lab, host: str) -> None:
    """End the connection that is kept to a host which is about to go: it would be waited for, and then missed."""
    if (lab.ssh / f"{host}.control").exists():
        argv = ["ssh", "-F", str(lab.ssh_config), "-O", "exit", host]
        with suppress(subprocess.TimeoutExpired):  # it ends by itself, once the host has not answered for a while
            subprocess.run(argv, capture_output=True, check=False, timeout=5)


def login(lab: Lab, host: LabHost, *argv: str, deadline: float = 5) -> str:
    """Log in, run a command and return what it prints. Unreachable with what was seen if that fails."""
    try:
        with socket.create_connection((str(host.address), 22), timeout=min(deadline, 2)):
            pass  # a quick no, before ssh waits much longer for the same answer
        return run(*command(lab, host.name, *(argv or ("true",))), deadline=deadline)
    except OSError as error:
        raise Unreachable(f"{host.name} does not answer", detail=f"port 22 of {host.address}: {error}") from None
    except OpsError as error:
        raise Unreachable(f"{host.name} does not let us in", detail=error.detail) from None


def wait(lab: Lab, host: LabHost, *, deadline: float) -> None:
    """Wait for a real login. Unreachable with what was seen last once the deadline has passed."""
    end = time.monotonic() + deadline
    while True:
        try:
            login(lab, host)
            return
        except Unreachable as error:
            if time.monotonic() > end:
                raise Unreachable(
                    f"{host.name} did not answer ssh within {deadline:.0f} s",
                    detail=f"seen last: {error.detail or error.message}",
                ) from None
            time.sleep(0.2)
