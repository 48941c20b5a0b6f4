"""Whom Alertmanager tells, as a program: a webhook receiver that remembers what it was told, and when.

with Pager(("10.213.7.1", 9099)) as pager:
    …                                    # something breaks
    pager.first("PrimaryGone", after=started)
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_MOST = 4 * 1024 * 1024  # bytes of a notification: far more than Alertmanager has to say


@dataclass(frozen=True)
class Notice:
    """One alert of one notification. `at`: when it came, on the monotonic clock of this machine; `route`: pages,
    tickets or heartbeat."""

    at: float
    route: str
    alert: str
    firing: bool
    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        shown = (f"{name}={value}" for name, value in self.labels if name not in ("alertname", "severity", "site"))
        return f"{self.alert}{{{', '.join(shown)}}}"


class Pager:
    """Listens for as long as the `with` lasts."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._notices: list[Notice] = []
        self._server = ThreadingHTTPServer(address, _handler(self._notices.extend))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="pager", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def notices(self, route: str, *, since: float = 0) -> list[Notice]:
        """What came by that route since that moment, in the order of its coming."""
        return [notice for notice in list(self._notices) if notice.route == route and notice.at >= since]

    def first(self, route: str, alert: str, *, firing: bool = True, since: float = 0) -> Notice | None:
        """The first word of an alert, or of its end, since that moment."""
        found = (one for one in self.notices(route, since=since) if one.alert == alert and one.firing is firing)
        return next(found, None)

    def active(self, route: str) -> list[Notice]:
        """What fires, as far as it was told: the last word of each alert, where that was not its end."""
        last = {(notice.alert, notice.labels): notice for notice in self.notices(route)}
        return [notice for notice in last.values() if notice.firing]


def _handler(take: Callable[[list[Notice]], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            try:
                take(read(self.rfile.read(min(length, _MOST)), time.monotonic()))
            except (ValueError, KeyError, TypeError):
                self.send_response(400)  # Alertmanager gives up on it, and says so
            else:
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the base class has it
            """Its words are for who asks for them."""

    return Handler


def read(body: bytes, at: float) -> list[Notice]:
    """The alerts of a notification as Alertmanager posts it; ValueError, KeyError or TypeError for anything else."""
    document = json.loads(body)
    return [
        Notice(
            at=at,
            route=str(document["receiver"]),
            alert=str(alert["labels"]["alertname"]),
            firing=alert["status"] == "firing",
            labels=tuple(sorted((str(name), str(value)) for name, value in alert["labels"].items())),
        )
        for alert in document["alerts"]
    ]
