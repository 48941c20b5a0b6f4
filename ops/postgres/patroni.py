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

    @property
    def is_leader(self) -> bool:
        return self.role in ("leader", "standby_leader")

    @property
    def is_healthy(self) -> bool:
        return self.state in ("running", "streaming")


class Patroni:
    """The API of the Patroni on this host."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.url
        self._context = ssl.create_default_context(cafile=str(settings.ca_file))
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(settings.cert_file, settings.key_file)

    def own_name(self) -> str:
        """The name of the member that answers."""
        return str(self._ask("GET", "/patroni")["patroni"]["name"])

    def members(self) -> list[Member]:
        """Every member of the cluster, in Patroni's order."""
        return [_member(item) for item in self._ask("GET", "/cluster").get("members", [])]

    def configuration(self) -> dict[str, Any]:
        """The dynamic configuration, as kept in etcd."""
        answer = self._ask("GET", "/config")
        assert isinstance(answer, dict)
        return answer

    def change_configuration(self, patch: dict[str, Any]) -> None:
        """Merge `patch` into the dynamic configuration; None removes a key."""
        self._ask("PATCH", "/config", patch)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310  the scheme comes from our own configuration
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT, context=self._context) as answer:  # noqa: S310
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
    )
