"""Who leads a cluster and who follows, as Patroni tells whoever asks: no login, so that it works while hosts die."""

from __future__ import annotations

import json
import ssl
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ops.deploys.inventory import Inventory
from ops.errors import Unreachable
from ops.model.failover import Leadership, Redundancy

_TIMEOUT = 2.0
_PAUSE = 0.25
_SYNCHRONOUS = ("sync", "quorum")


class Watch:
    """A cluster, seen through the API of whichever member answers."""

    def __init__(self, inventory: Inventory, cluster: str, addresses: dict[str, str]) -> None:
        port = inventory.patroni(cluster).port
        self.members = inventory.groups[cluster]
        self._urls = {name: f"https://{addresses.get(name, name)}:{port}" for name in self.members}
        self._trust = ssl.create_default_context(cafile=inventory.site.pki / "ca.crt")

    def look(self) -> Leadership:
        """Who leads now, by its own word and with PostgreSQL's own list of who streams from it. Unreachable where
        nobody that answers leads: this also holds for a cluster between two leaders."""
        for name in self.members:
            with suppress(OSError, ValueError, KeyError):
                state = self._ask(name, "/patroni")
                if state["role"] in ("primary", "master") and state["state"] == "running" and self._leads(name):
                    return Leadership(name, state.get("timeline"), _redundancy(state.get("replication", [])))
        raise Unreachable(
            "no member says that it leads",
            detail=f"asked: {', '.join(self.members)}",
            hint="See: ops cluster show (on a member); journalctl -u patroni",
        )

    def wait(
        self, until: Callable[[Leadership], bool], *, deadline: float, note: Callable[[str], None]
    ) -> Leadership | None:
        """The first view for which `until` holds; None after `deadline` seconds."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            try:
                seen = self.look()
            except Unreachable:
                note("nobody leads")
            else:
                if until(seen):
                    return seen
                note(f"{seen.leader} leads; {seen.redundancy.streaming} stream")
            time.sleep(_PAUSE)
        return None

    def _leads(self, name: str) -> bool:
        """Whether the member that says so is also the one that holds the lock, in the view of the whole cluster."""
        members: Sequence[dict[str, Any]] = self._ask(name, "/cluster")["members"]
        return any(one["name"] == name and one["role"] == "leader" for one in members)

    def _ask(self, name: str, path: str) -> dict[str, Any]:
        # Patroni says 503 of a health question and answers all the same; /patroni and /cluster are none.
        with urllib.request.urlopen(self._urls[name] + path, timeout=_TIMEOUT, context=self._trust) as answer:  # noqa: S310
            found = json.load(answer)
        assert isinstance(found, dict)
        return found


def _redundancy(replication: Sequence[dict[str, Any]]) -> Redundancy:
    streaming = [one for one in replication if one.get("state") == "streaming" and one.get("usename") == "replicator"]
    return Redundancy(len(streaming), sum(one.get("sync_state") in _SYNCHRONOUS for one in streaming))
