"""Patroni's REST API, as one member's agent sees it. TLS verified, with the host's own certificate."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from ops.config import Patroni as Settings
from ops.errors import OpsError, Unreachable

_TIMEOUT = 10.0


@dataclass(frozen=True)
class Member:
    """A member as the cluster sees it. `lag` is in bytes, None where Patroni does not know it."""

    name: str
    role: str
    state: str
    host: str
    timeline: int | None
    lag: int | None
    port: int = 5432
    api_url: str = ""
    nofailover: bool = False
    nosync: bool = False

    @property
    def is_leader(self) -> bool:
        return self.role in ("leader", "standby_leader")

    @property
    def is_healthy(self) -> bool:
        return self.state in ("running", "streaming")


class Patroni:
    """The API of the Patroni on this host, or of another one (`at`)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.url
        self._context = ssl.create_default_context(cafile=str(settings.ca_file))
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(settings.cert_file, settings.key_file)

    def at(self, member: Member) -> Patroni:
        """The API of another member."""
        return Patroni(self._settings.model_copy(update={"url": member.api_url.removesuffix("/patroni")}))

    def own_name(self) -> str:
        """The name of the member that answers."""
        return str(self._ask("GET", "/patroni")["patroni"]["name"])

    def members(self) -> list[Member]:
        """Every member of the cluster, in Patroni's order."""
        return [_member(item) for item in self._ask("GET", "/cluster").get("members", [])]

    def system_identifier(self) -> int:
        """Of the database that the answering member has."""
        return int(self._ask("GET", "/patroni")["database_system_identifier"])

    def is_paused(self) -> bool:
        """Whether somebody has told Patroni to leave the cluster alone."""
        return bool(self._ask("GET", "/cluster").get("pause", False))

    def configuration(self) -> dict[str, Any]:
        """The dynamic configuration, as kept in etcd."""
        answer = self._ask("GET", "/config")
        assert isinstance(answer, dict)
        return answer

    def change_configuration(self, patch: dict[str, Any]) -> None:
        """Merge `patch` into the dynamic configuration; None removes a key."""
        self._ask("PATCH", "/config", patch)

    def restart(self, role: str, seconds: int) -> None:
        """Restart PostgreSQL there, and return when it accepts connections again.

        Refused where its role is not `role` (primary or replica) any more. `seconds` is what the start may take: given
        always, because a primary_start_timeout of 0 would have Patroni give up at once.
        """
        # A synchronous standby first waits, up to twice loop_wait, until its primary no longer counts on it.
        self._ask("POST", "/restart", {"role": role, "timeout": seconds}, timeout=seconds + 90)

    def switchover(self, leader: str, candidate: str | None) -> None:
        """Let `candidate`, or the member that is quickest, lead instead of `leader`; returns when it holds the lock."""
        wanted = {"candidate": candidate} if candidate else {}
        self._ask("POST", "/switchover", {"leader": leader} | wanted, timeout=90)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout: float = _TIMEOUT) -> Any:
        request = urllib.request.Request(  # noqa: S310  the scheme comes from our own configuration
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._context) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            detail = f"{error.code}: {error.read(500).decode(errors='replace').strip()}"
            if method == "GET":
                # Patroni answers health questions by status code; a body that is JSON is an answer all the same.
                raise Unreachable(f"Patroni at {self._url} did not answer {path}", detail=detail) from error
            raise OpsError(f"Patroni at {self._url} refused {method} {path}", detail=detail) from error
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(
                f"Patroni at {self._url} cannot be reached",
                detail=str(getattr(error, "reason", error)),
                hint="Look at it with: systemctl status patroni; journalctl -u patroni",
            ) from error
        return json.loads(text) if method == "GET" else None


def _member(item: dict[str, Any]) -> Member:
    lag = item.get("lag")
    return Member(
        name=item["name"],
        role=item.get("role", "unknown"),
        state=item.get("state", "unknown"),
        host=item.get("host", ""),
        timeline=item.get("timeline"),
        lag=lag if isinstance(lag, int) else None,
        port=item.get("port", 5432),
        api_url=item.get("api_url", ""),
        nofailover=bool(item.get("tags", {}).get("nofailover", False)),
        nosync=bool(item.get("tags", {}).get("nosync", False)),
    )
