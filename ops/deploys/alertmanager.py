"""Alertmanager on the monitoring hosts: who is told of what, and what nobody is told of because something else says it.

Secrets stay out of its configuration where its version can read them from files; the one that it cannot, an address
that is itself the secret, is why the configuration is a secret too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ops.deploys.base import CA_FILE
from ops.deploys.exporters import identity, web_config
from ops.deploys.fleet import ALERTMANAGER_PORT
from ops.deploys.haproxy import acceptable
from ops.deploys.operations import config_file, current, directory, render, secret_file, service
from ops.deploys.settings.monitoring import Email, Monitoring, PagerDuty, Receiver, Slack, Webhook
from ops.deploys.site import Host, section
from ops.deploys.targets import GOSSIP_PORT
from ops.model.inhibition import INHIBITIONS

UNIT = "prometheus-alertmanager.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/pend-ops.conf"
FOLDER = "/etc/alertmanager"
SETTINGS, WEB, GOSSIP = f"{FOLDER}/alertmanager.yml", f"{FOLDER}/web.yml", f"{FOLDER}/gossip.yml"
USER = "prometheus"  # Debian's, of Prometheus too
# What a chat shows of each alert, and where a pager leads to; mail has a layout of its own, with all annotations.
ALERT = "{{ .Annotations.summary }}\n`{{ .Annotations.command }}`\n%s{{ .Annotations.runbook_url }}\n"
CHAT = f"{{{{ range .Alerts }}}}{ALERT}{{{{ end }}}}"
RUNBOOK = "%s{{ .CommonAnnotations.runbook_url }}"


@section("Alertmanager")
def alertmanager(this: Host) -> None:
    """One on each monitoring host; with two of them, they agree on what was sent."""
    if not this.is_in("monitoring"):
        return
    monitoring = this.inventory.monitoring()
    directory(FOLDER, user=USER, mode="700")
    certificate, key = identity(this, "alertmanager", USER)
    web_config(WEB, certificate, key)
    config_file("alertmanager/gossip.yml.j2", GOSSIP, certificate=certificate, key=key, ca=CA_FILE)
    secrets = _secrets(this, monitoring)
    settings = configuration(monitoring, partial(_secret, this))
    acceptable(name=f"Check what is to be {SETTINGS}", dest=SETTINGS, text=settings, check="amtool check-config")
    secret_file(name=f"Write {SETTINGS}", dest=SETTINGS, content=lambda: settings, user=USER)
    directory(f"/etc/systemd/system/{UNIT}.d")
    config_file(
        "alertmanager/alertmanager.service.conf.j2", DROP_IN,
        name=this.name, address=this.address, port=ALERTMANAGER_PORT, gossip_port=GOSSIP_PORT,
        settings=SETTINGS, web=WEB, gossip=GOSSIP, peers=_peers(this),
    )  # fmt: skip
    service(UNIT, DROP_IN, GOSSIP)
    current(
        name=f"Reload {UNIT} where its files changed",
        unit=UNIT,
        files=(SETTINGS, WEB, certificate, key, *secrets),
        verb="reload",
        _serial=True,
    )


def _peers(this: Host) -> list[str]:
    return [host for host in this.inventory.groups["monitoring"] if host != this.name]


def _secret(this: Host, receiver: str) -> str:
    return this.secret(f"receiver_{receiver}")


def _secrets(this: Host, monitoring: Monitoring) -> list[str]:
    """The files of the receivers that somebody is told by; their paths."""
    told = dict.fromkeys(name for names in monitoring.routes.values() for name in names)
    needed = [name for name in told if _needs_file(monitoring.receivers[name])]
    for name in needed:
        path = _secret_path(name)
        secret_file(name=f"Write {path}", dest=path, content=partial(_secret, this, name), user=USER)
    return [_secret_path(name) for name in needed]


def _needs_file(receiver: Receiver) -> bool:
    if isinstance(receiver, Webhook):
        return receiver.secret == "token"  # noqa: S105  the name of a choice
    return not isinstance(receiver, Email) or receiver.username is not None


def _secret_path(receiver: str) -> str:
    return f"{FOLDER}/receiver_{receiver}"


def configuration(monitoring: Monitoring, secret: Callable[[str], str]) -> str:
    """alertmanager.yml as it should be. `secret`: a receiver's name -> its secret."""
    return render(
        "alertmanager/alertmanager.yml.j2",
        timing=monitoring.timing,
        inhibitions=INHIBITIONS,
        receivers={
            route: _integrations(monitoring, names, secret, resolved=route != "heartbeat")
            for route, names in monitoring.routes.items()
        },
    )


def _integrations(
    monitoring: Monitoring, names: list[str], secret: Callable[[str], str], *, resolved: bool
) -> dict[str, list[dict[str, Any]]]:
    """kind -> settings, in Alertmanager's own words. `resolved`: the end of an alert is told too."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        receiver = monitoring.receivers[name]
        settings = _settings(receiver, _secret_path(name), partial(secret, name), monitoring.runbooks or "")
        found.setdefault(receiver.type, []).append({"send_resolved": resolved, **settings})
    return found


def _settings(receiver: Receiver, path: str, secret: Callable[[], str], runbooks: str) -> dict[str, Any]:
    tls = {"min_version": "TLS12"} | ({"ca_file": CA_FILE} if receiver.ca == "site" else {})
    match receiver:
        case Webhook():
            bearer = {"authorization": {"credentials_file": path}} if receiver.secret == "token" else {}  # noqa: S105
            return {"url": receiver.url or secret(), "http_config": {"tls_config": tls, **bearer}}
        case Email():
            login = {"auth_username": receiver.username, "auth_password_file": path} if receiver.username else {}
            return {
                "to": ", ".join(receiver.to), "from": receiver.sender, "smarthost": receiver.smarthost,
                "require_tls": True, "tls_config": tls, **login,
            }  # fmt: skip
        case Slack():
            text, http = CHAT % runbooks, {"tls_config": tls}
            return {"api_url_file": path, "channel": receiver.channel, "text": text, "http_config": http}
        case PagerDuty():
            details, http = {"runbook": RUNBOOK % runbooks}, {"tls_config": tls}
            return {"routing_key_file": path, "url": receiver.url, "details": details, "http_config": http}
