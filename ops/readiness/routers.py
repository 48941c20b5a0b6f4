"""Whom a router sends whose sessions to, as its HAProxy's own figures say."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable

from ops.errors import OpsError, Unreachable
from ops.fleet import Router
from ops.model.readiness import RouterView
from ops.readiness.ask import Endpoint, trouble

_UP = re.compile(r'^haproxy_server_status\{proxy="([^"]+)",server="([^"]+)",state="UP"\} 1\b', re.MULTILINE)

# Backend -> the servers that it leads to.
Backends = dict[str, tuple[str, ...]]


def backends(context: ssl.SSLContext, router: Router) -> Backends:
    """All of a router's backends; Unreachable where it does not answer."""
    with Endpoint(context, router.address, router.metrics_port) as api:
        status, body = api.get("/metrics?scope=server")
    if status != 200:
        raise Unreachable(f"answered with {status}")
    return parse(body.decode(errors="replace"))


def parse(text: str) -> Backends:
    """From HAProxy's figures: one line for each server and state, 1 for the state that it is in."""
    found: dict[str, tuple[str, ...]] = {}
    for backend, server in _UP.findall(text):
        found[backend] = (*found.get(backend, ()), server)
    return found


def views(cluster: str, answers: Iterable[tuple[str, Backends | OpsError]]) -> tuple[RouterView, ...]:
    """What each router does with the sessions of `cluster`."""
    return tuple(
        RouterView(name, None, None, trouble(answer))
        if isinstance(answer, OpsError)
        else RouterView(name, answer.get(f"{cluster}_primary", ()), answer.get(f"{cluster}_replicas", ()))
        for name, answer in answers
    )
