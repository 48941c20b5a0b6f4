"""Starting the client that sits beside the old primary (`ops.failover.beside`), and fetching what it noted."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ops.errors import OpsError
from ops.failover import beside
from ops.failover.clients import insert
from ops.failover.hosts import Hosts
from ops.model.journal import Client, Entry

CLIENT = Client("beside the old primary", "inside", "inside")
PYTHON = "/opt/ops/bin/python"
UNIT = "ops-failover-drill"
FOLDER = f"/run/{UNIT}"


class Insider:
    """The client as a unit of the host's systemd. `entries`: what it noted, once that was fetched."""

    def __init__(self, hosts: Hosts, host: str, database: str, run: uuid.UUID) -> None:
        self._hosts, self._host, self._database, self._run = hosts, host, database, run
        self.entries: tuple[Entry, ...] = ()

    def start(self) -> None:
        """OpsError where the host does not run it."""
        inventory = self._hosts.inventory
        cluster = inventory.cluster_of(self._host)
        assert cluster
        # Through a socket a server has no address: which it is, we know.
        statement = insert(f"'{self._hosts.addresses[self._host]}'")
        to_run = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--uid=postgres", PYTHON]
        arguments = [self._database, str(inventory.postgres(cluster).port), statement, f"{FOLDER}/journal"]
        command = shlex.join([*to_run, f"{FOLDER}/beside.py", *arguments, str(self._run), CLIENT.name])
        self._hosts.ask(
            self._host,
            f"install -d -o postgres {FOLDER} && cat > {FOLDER}/beside.py && {command}",
            stdin=Path(beside.__file__).read_text(),
        )

    def fetch(self) -> None:
        """End it and read its notes. To be called once the host can be reached again."""
        text = self._hosts.ask(self._host, f"systemctl stop {UNIT}; cat {FOLDER}/journal")
        notes = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        self.entries = tuple(Entry(**note) for note in notes)


@contextmanager
def insider(hosts: Hosts, host: str, database: str, run: uuid.UUID) -> Iterator[Insider]:
    """The client, running; nothing of it is left on the host at the end of the block."""
    client = Insider(hosts, host, database, run)
    try:
        client.start()
        yield client
    finally:
        with suppress(OpsError):
            hosts.run(host, f"systemctl stop {UNIT}; rm -rf {FOLDER}")
