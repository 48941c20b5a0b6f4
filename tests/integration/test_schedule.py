"""What the timers call, on a host without Patroni: all of it is this host's to do."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .fix_postgres import Host
from .fix_store import Weed

pytestmark = pytest.mark.integration


def test_what_is_due_is_done_in_every_repository(hosts: Callable[[str], Host]) -> None:
    host = hosts("pg")
    host.initdb("--wal-segsize=1")
    host.write_config(
        host.folder("first"), repositories={"offsite": host.folder("second").model_dump(exclude_none=True)}
    )
    host.archive()
    host.start()
    for job in ("backup", "mirror", "verify", "expire"):
        outcome = host.ops("backup", "schedule", "run", job)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    for name in ("main", "offsite"):
        shown = host.ops("backup", "verify", "--repository", name, "--json")
        assert json.loads(shown.stdout)["backups"] == 1, name
        assert json.loads(shown.stdout)["verified_now"] == 0, f"{name} was verified by schedule"


def test_whose_turn_it_is_is_not_guessed(hosts: Callable[[str], Host], weed: Weed) -> None:
    host = hosts("pg")
    files = {"ca_file": weed.ca_file, "cert_file": weed.ca_file, "key_file": weed.directory / "key.pem"}
    host.write_config(host.folder(), patroni={"url": "https://localhost:1", **files})
    outcome = host.ops("backup", "schedule", "run", "backup")
    assert outcome.returncode == 3, outcome.stderr
    assert "Patroni" in outcome.stderr
