"""Where a running fleet differs from what its inventory declares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

Differences = Iterable[tuple[str, str | None]]  # what differs, and the command that mends it (None: a deploy)


@dataclass(frozen=True)
class Finding:
    """One difference on one host. `mend` is the command that ends it; None: a deploy does."""

    host: str
    what: str
    mend: str | None = None


@dataclass(frozen=True)
class Drift:
    """What was found. `failures`: the hosts that could not be asked everything, and why."""

    findings: tuple[Finding, ...]
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that differ."""
        return tuple(dict.fromkeys(finding.host for finding in self.findings))


@dataclass(frozen=True)
class Unit:
    """A service as systemd shows it (`systemctl show`)."""

    name: str
    active: str
    enabled: str
    fragment: str
    needs_reload: bool
    drop_ins: tuple[str, ...] = ()


def of_unit(unit: Unit, ours: frozenset[str]) -> list[tuple[str, str | None]]:
    """What is wrong with a unit that should run at every boot, and the command that mends it (None: a deploy).

    `ours` are the files that the deploy writes: whatever else changes how the unit runs was put there by hand.
    """
    found: list[tuple[str, str | None]] = []
    masked, state = unit.enabled.startswith("masked"), " and ".join(_state(unit))
    if state:
        found.append((f"{unit.name} is {state}", f"systemctl unmask {unit.name}, then deploy" if masked else None))
    restart = f"systemctl daemon-reload && systemctl restart {unit.name}"
    strange = [path for path in unit.drop_ins if path not in ours]
    found += [(f"{unit.name} is changed by {path}", f"rm {path} && {restart}") for path in strange]
    if unit.fragment.startswith("/etc/systemd/system/") and unit.fragment not in ours and not masked:
        found.append((f"{unit.name} is replaced by {unit.fragment}", f"rm {unit.fragment} && {restart}"))
    elif unit.needs_reload and not found:
        found.append((f"{unit.name} has newer unit files than systemd has read", "systemctl daemon-reload"))
    return found


def _state(unit: Unit) -> Iterator[str]:
    """Everything about a unit that should be enabled and active, and is not."""
    if not unit.enabled:
        yield "not installed"
        return
    if unit.active != "active":
        yield {"inactive": "stopped", "activating": "starting, again and again"}.get(unit.active, unit.active)
    if unit.enabled.startswith("masked"):
        yield "masked"
    elif unit.enabled not in ("enabled", "enabled-runtime", "static", "alias", "generated"):
        yield f"{unit.enabled}, so not started at boot"


def of_servers(state: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What HAProxy was told of its servers while it ran, from its `show servers state`; a reload has it forget that."""
    names = next((line for line in state if line.startswith("# be_id")), "").removeprefix("# ").split()
    for line in state:
        fields = dict(zip(names, line.split(), strict=False))
        if line.startswith("#") or "srv_admin_state" not in fields:
            continue
        for what in _of_server(fields):
            yield f"HAProxy: server {fields['be_name']}/{fields['srv_name']} {what}", "systemctl reload haproxy"


def _of_server(fields: dict[str, str]) -> Iterator[str]:
    """The bits are those of HAProxy's management guide, `show servers state`."""
    administered, checks = int(fields["srv_admin_state"]), int(fields["srv_check_state"])
    if administered & 0x01:
        yield "is in maintenance"
    if administered & 0x08:
        yield "is drained"
    if fields["srv_uweight"] != fields["srv_iweight"]:
        yield f"has weight {fields['srv_uweight']}, not {fields['srv_iweight']}"
    if checks & 0x01 and not checks & 0x02:
        yield "is not checked"


def of_pooler(
    files: Sequence[str], settings: Sequence[Sequence[str]], databases: Sequence[Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """Where PgBouncer runs otherwise than its files say: from SHOW CONFIG and SHOW DATABASES, without headers."""
    written = dict(re.findall(r"^(\w+) = (.*)$", _section("pgbouncer", files), flags=re.MULTILINE))
    for name, value, *_ in settings:
        if value != written.get(name, value):
            yield f"PgBouncer: {name} is {value}, not {written[name]}", "systemctl reload pgbouncer"
    for name, *_, paused, disabled in databases:
        if paused != "0":
            yield f"PgBouncer: database {name} is paused", f'on its console: RESUME "{name}"'
        if disabled != "0":
            yield f"PgBouncer: database {name} is disabled", f'on its console: ENABLE "{name}"'


def _section(name: str, lines: Sequence[str]) -> str:
    """The text of one section of an INI file."""
    inside, found = False, []
    for line in lines:
        if line.startswith("["):
            inside = line.strip() == f"[{name}]"
        elif inside:
            found.append(line)
    return "\n".join(found)
