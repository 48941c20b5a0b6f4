"""`ops drift`: where the running fleet differs from what the inventory declares.

Everything that a deploy would change is drift; what a deploy does not look at is asked by LIVE_CHECKS.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyinfra import host
from pyinfra.facts.files import File

from ops.deploys.live import LIVE_CHECKS
from ops.deploys.marks import Marks, OurFile, marks
from ops.deploys.plan import found, unanswered
from ops.deploys.preflight import preflight
from ops.deploys.run import prepared
from ops.deploys.site import this_host
from ops.errors import OpsError
from ops.model.changes import Change
from ops.model.drift import Drift, Finding


def drift(inventory: Path, limit: tuple[str, ...] = ()) -> Drift:
    """Ask every host of the inventory. Nothing is changed on any of them."""
    with prepared(inventory, limit) as run:
        changes = found(run)
        seen = run.everywhere(lambda: _look(changes))
        failures = run.failures | unanswered(run) | {host: why for host, (_, why) in seen.items() if why}
        return Drift(tuple(finding for findings, _ in seen.values() for finding in findings), failures)


def _look(changes: list[Change]) -> tuple[list[Finding], str | None]:
    """What differs on the host that is being asked, and why not everything could be found out."""
    findings = list(_changed(changes))
    this, seen, failures = preflight(this_host()), {finding.what for finding in findings}, []
    for check in LIVE_CHECKS:
        try:
            findings += [Finding(host.name, what, mend) for what, mend in check(this) if what not in seen]
        except OpsError as error:
            failures.append(str(error))
    return findings, "; ".join(failures) or None


def _changed(changes: list[Change]) -> Iterator[Finding]:
    """What a deploy would change here, each thing once and in words about the host as it is."""
    said, name = marks(), host.name
    for path in sorted(said.written & said.files.keys()):
        yield Finding(name, f"{path} {_difference(path, said.files[path])}")
    for unit, of_unit in said.outdated.items():
        if unit not in said.started and not said.written & of_unit:
            yield Finding(name, f"{unit} runs with older files than it has")
    for mark in said.everything:
        if mark.settles and mark.what:
            yield Finding(name, mark.what)
    for change in changes:
        if change.host == name and not change.settles and change.what not in _told(said):
            yield Finding(name, f"a deploy would: {change.what}")


def _told(said: Marks) -> set[str | None]:
    """The names of changes that are told in better words, or follow from another."""
    files = {f"Write {path}" for path in said.written}
    units = {f"{verb} {unit}" for verb in ("Start", "Restart", "Reload") for unit in said.units}
    return files | units | {mark.what for mark in said.everything if mark.live}


def _difference(path: str, ours: OurFile) -> str:
    present = host.get_fact(File, path=path)
    if not present:
        return "is no plain file" if present is False else "is missing"
    wrong = []
    if (present["user"], present["group"]) != (ours.user, ours.user):
        wrong.append(f"belongs to {present['user']}:{present['group']}, not {ours.user}:{ours.user}")
    if int(present["mode"]) != int(ours.mode):
        wrong.append(f"has mode {present['mode']}, not {ours.mode}")
    return " and ".join(wrong) or "has other contents"
