"""What decides about a failover: etcd, which keeps the leader lock, and each member's Patroni, which takes it."""

from __future__ import annotations

import base64
import json
import ssl
import time
from dataclasses import dataclass
from typing import Any

from ops.errors import OpsError, Unreachable
from ops.model.readiness import EtcdView
from ops.readiness.ask import Endpoint, as_json, trouble

# Any key will do: a read that is linearizable is confirmed by a majority, whether or not there is such a key.
_READ = json.dumps({"key": base64.b64encode(b"/").decode()})


@dataclass(frozen=True)
class View:
    """The cluster as one member's Patroni sees it: `cluster` from /cluster, `settings` from /config."""

    cluster: dict[str, Any]
    settings: dict[str, Any]

    @property
    def members(self) -> dict[str, dict[str, Any]]:
        return {str(one["name"]): one for one in self.cluster.get("members", [])}


def patroni(context: ssl.SSLContext, address: str, port: int) -> View:
    """What that Patroni says just now; Unreachable where it does not, or has lost etcd."""
    with Endpoint(context, address, port) as api:
        return View(_json(api, "/cluster"), _json(api, "/config"))


def etcd_member(context: ssl.SSLContext, address: str, port: int) -> float:
    """Seconds that a read took which a majority has confirmed; Unreachable where this member does not have one."""
    with Endpoint(context, address, port) as api:
        if _json(api, "/health").get("health") != "true":
            raise Unreachable("speaks for no majority")
        began = time.monotonic()
        status, _ = api.get("/v3/kv/range", _READ)
        if status != 200:
            raise Unreachable(f"refused a read with {status}")
        return time.monotonic() - began


def etcd_view(answers: dict[str, float | OpsError]) -> EtcdView:
    """The members together; `answers` are of `etcd_member`, by member."""
    times = {name: answer for name, answer in answers.items() if not isinstance(answer, OpsError)}
    troubles = {name: trouble(answer) for name, answer in answers.items() if isinstance(answer, OpsError)}
    return EtcdView(tuple(answers), tuple(times), max(times.values(), default=None), troubles)


def _json(api: Endpoint, path: str) -> dict[str, Any]:
    status, body = api.get(path)
    try:
        found = json.loads(body)
    except ValueError:
        raise Unreachable(f"answered {path} with {status}") from None
    if status != 200:
        raise Unreachable(f"answered {path} with {status}")
    return as_json(found, path)
