"""Prometheus on the monitoring hosts: it asks every exporter of the inventory, and judges by the rules.

Nothing becomes its configuration that promtool has not found good, and what changes is taken over by a reload.
"""

from __future__ import annotations

from pathlib import Path

from pyinfra import host
from pyinfra.facts.files import Directory, FindFiles
from pyinfra.operations import files

from ops.deploys.base import CA_FILE
from ops.deploys.exporters import identity, web_config
from ops.deploys.fleet import ALERTMANAGER_PORT, PROMETHEUS_PORT
from ops.deploys.haproxy import acceptable
from ops.deploys.operations import config_file, current, directory, render, service, text_file
from ops.deploys.site import Host, section
from ops.deploys.targets import jobs
from ops.deploys.wheels import PROJECT

UNIT = "prometheus.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/pend-ops.conf"
SETTINGS, WEB, RULES = "/etc/prometheus/prometheus.yml", "/etc/prometheus/web.yml", "/etc/prometheus/rules"
OUR_RULES = PROJECT / "templates" / "prometheus" / "rules"


@section("Prometheus")
def prometheus(this: Host) -> None:
    """Each monitoring host asks everybody: with two of them, one may be lost."""
    if not this.is_in("monitoring"):
        return
    certificate, key = identity(this, "prometheus", "prometheus")
    web_config(WEB, certificate, key)
    rules = _rules()
    settings = configuration(this, certificate, key)
    acceptable(name=f"Check what is to be {SETTINGS}", dest=SETTINGS, text=settings, check="promtool check config")
    text_file(settings, SETTINGS)
    directory(f"/etc/systemd/system/{UNIT}.d")
    config_file(
        "prometheus/prometheus.service.conf.j2", DROP_IN,
        name=this.name, address=this.address, port=PROMETHEUS_PORT, settings=SETTINGS, web=WEB,
        monitoring=this.inventory.monitoring(),
    )  # fmt: skip
    service(UNIT, DROP_IN)
    current(
        name=f"Reload {UNIT} where its files changed",
        unit=UNIT,
        files=(SETTINGS, WEB, certificate, key, RULES, *rules),  # RULES itself tells of one that is gone
        verb="reload",
        _serial=True,
    )


def configuration(this: Host, certificate: str, key: str) -> str:
    """prometheus.yml as it should be."""
    inventory = this.inventory
    return render(
        "prometheus/prometheus.yml.j2",
        site=inventory.site.name,
        monitoring=inventory.monitoring(),
        hosts=inventory.groups["monitoring"],
        alertmanager_port=ALERTMANAGER_PORT,
        jobs=jobs(inventory),
        rules=RULES,
        ca=CA_FILE,
        certificate=certificate,
        key=key,
    )


def _rules() -> list[str]:
    """The rules of templates/prometheus/rules, and no others; their paths."""
    directory(RULES)
    ours = {f"{RULES}/{file.name}": file for file in sorted(Path(OUR_RULES).glob("*.yml"))}
    for path, file in ours.items():
        text = file.read_text()
        acceptable(name=f"Check what is to be {path}", dest=path, text=text, check="promtool check rules")
        text_file(text, path)
    present = host.get_fact(Directory, path=RULES) and host.get_fact(FindFiles, path=RULES)
    for path in sorted(set(present or []) - set(ours)):
        files.file(name=f"Remove {path}", path=path, present=False)
    return list(ours)
