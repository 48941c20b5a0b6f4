"""etcd's members, asked and changed from a database host. TLS verified, with the host's own certificate."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from ops.config import Config
from ops.config import Etcd as Settings
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.etcd import RUNBOOK, Member, Membership, of_ids, parse_members

_TIMEOUT = 5.0


class Etcd:
    """The etcd that keeps the leader lock of this host's cluster."""

    def __init__(self, settings: Settings) -> None:
        self.declared = tuple(settings.members)
        self._urls = [f"https://{name}:{settings.port}" for name in settings.members]
        self._context = ssl.create_default_context(cafile=str(settings.ca_file))
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(settings.cert_file, settings.key_file)

    @classmethod
    def of(cls, config: Config) -> Etcd:
        """UsageError where the configuration names none."""
        if config.etcd is None:
            raise UsageError("this host knows of no etcd", hint="Run this on a database host: its ops.toml has [etcd].")
        return cls(config.etcd)

    def membership(self) -> Membership:
        """All members, and who of them answers; Unreachable where none speaks for a majority."""
        healthy = {url for url in self._urls if self._is_healthy(url)}
        if not healthy:
            raise Unreachable(
                "etcd has no majority: no member answers for one",
                detail=f"Asked: {', '.join(self.declared)}.",
                hint=f"systemctl status etcd, on each of them. If disks are lost: {RUNBOOK}",
            )
        members = parse_members(self._post(min(healthy), "cluster/member/list", {}))
        strangers = {url for one in members for url in one.client_urls} - set(self._urls)
        healthy |= {url for url in strangers if self._is_healthy(url)}
        return Membership(members, of_ids(members, healthy))

    def remove(self, member: Member, membership: Membership) -> None:
        """Take `member` off the list; the request goes to another one."""
        through = next(one for one in membership.members if one.id in membership.healthy and one is not member)
        self._post(through.client_urls[0], "cluster/member/remove", {"ID": str(member.id)})

    def step_aside(self, host: str) -> Member | None:
        """Let another member lead etcd where the one on `host` does: who leads now, None where nothing was done."""
        membership = self.membership()
        here = membership.find(host)
        others = [one for one in membership.members if one.id in membership.healthy and one is not here]
        if here is None or here.id not in membership.healthy or not others:
            return None
        [url, *_] = here.client_urls
        if int(self._post(url, "maintenance/status", {})["leader"]) != here.id:
            return None
        self._post(url, "maintenance/transfer-leadership", {"targetID": str(others[0].id)})
        return others[0]

    def _is_healthy(self, url: str) -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=_TIMEOUT, context=self._context) as answer:  # noqa: S310
                return bool(json.loads(answer.read())["health"] == "true")
        except (OSError, ValueError, KeyError):
            return False

    def _post(self, url: str, what: str, body: dict[str, str]) -> Any:
        request = urllib.request.Request(f"{url}/v3/{what}", data=json.dumps(body).encode())  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT, context=self._context) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise OpsError(
                f"etcd at {url} refused {what}", detail=f"{error.code}: {error.read(500).decode(errors='replace')}"
            ) from error
        except OSError as error:
            raise Unreachable(f"etcd at {url} did not answer", detail=str(error)) from error
