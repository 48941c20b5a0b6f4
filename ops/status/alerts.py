"""Which alerts fire, by the word of the Alertmanager, or of Prometheus where that does not answer."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, get_args
from urllib.parse import urlsplit

from ops.errors import Unreachable
from ops.fleet import Fleet, Identity
from ops.status.document import Alert, Alerts, Severity

HEARTBEAT = "Watchdog"  # always fires: proof that alerts come through
_TIMEOUT = 5.0
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


def look(fleet: Fleet) -> Alerts:
    """What fires now. Raises Unreachable where neither of the two answers, or the map of the fleet names neither."""
    if fleet.alertmanager is None and fleet.prometheus is None:
        raise Unreachable("this host knows of no Alertmanager and of no Prometheus")
    troubles = []
    for name, url, path, understood in (
        ("Alertmanager", fleet.alertmanager, "/api/v2/alerts", of_alertmanager),
        ("Prometheus", fleet.prometheus, "/api/v1/alerts", of_prometheus),
    ):
        if url:
            try:
                return understood(_ask(fleet.identity, url + path), f"{name} on {urlsplit(url).hostname}")
            except Unreachable as error:
                troubles.append(error.message)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                troubles.append(f"{name} answers what is not understood: {type(error).__name__}: {error}")
    raise Unreachable("; ".join(troubles))


def of_alertmanager(answer: Any, source: str) -> Alerts:
    """From the answer to /api/v2/alerts: those that it tells somebody of; the silenced are counted."""
    active = [one for one in answer if one["status"]["state"] == "active"]
    silenced = sum(bool(one["status"]["silencedBy"]) for one in answer)
    return _alerts(((one["labels"], one["annotations"], one["startsAt"]) for one in active), source, silenced)


def of_prometheus(answer: Any, source: str) -> Alerts:
    """From the answer to /api/v1/alerts: those whose time has come. Prometheus knows of no silence."""
    firing = [one for one in answer["data"]["alerts"] if one["state"] == "firing"]
    return _alerts(((one["labels"], one["annotations"], one["activeAt"]) for one in firing), source, 0)


def _alerts(firing: Iterable[tuple[Mapping[str, str], Mapping[str, str], str]], source: str, silenced: int) -> Alerts:
    found, heartbeat = [], False
    for labels, notes, since in firing:
        if labels["alertname"] == HEARTBEAT:
            heartbeat = True
        else:
            found.append(_alert(labels, notes, datetime.fromisoformat(since)))
    found.sort(key=lambda alert: (_SEVERITIES.index(alert.severity), alert.since, alert.name))
    return Alerts(source=source, firing=found, silenced=silenced, heartbeat=heartbeat)


def _alert(labels: Mapping[str, str], notes: Mapping[str, str], since: datetime) -> Alert:
    severity = labels.get("severity", "")
    return Alert(
        name=labels["alertname"],
        severity=next((known for known in _SEVERITIES if known == severity), "info"),
        summary=notes.get("summary", ""),
        hint=notes.get("command", ""),
        runbook=notes.get("runbook_url", ""),
        where=labels.get("cluster") or labels.get("instance", ""),
        since=since,
    )


def _ask(identity: Identity, url: str) -> Any:
    """The answer to a GET, as JSON. Unreachable for anything else."""
    if not url.startswith("https://"):
        raise Unreachable(f"{url} is not asked: only HTTPS is")
    try:
        context = ssl.create_default_context(cafile=str(identity.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(identity.cert_file, identity.key_file)
        with urllib.request.urlopen(url, timeout=_TIMEOUT, context=context) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise Unreachable(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{url} does not answer: {error}") from error
