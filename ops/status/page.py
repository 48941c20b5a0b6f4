"""The status page: one HTML document that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from ops.status import words
from ops.status.document import Certificate, Cluster, Document
from ops.status.timeline import Timeline, timeline
from ops.status.verdict import worst

SOON = 6  # so many certificates are shown before somebody asks for the others
_HERE = "ops.status"

_environment = Environment(
    loader=PackageLoader(_HERE, "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    size=words.size, duration=words.duration, clock=words.clock, short_clock=words.short_clock, counted=words.counted
)
_environment.globals.update(span=words.span)


def page(document: Document, *, refresh: int | None = None, good_for: int = 120) -> str:
    """The document for a browser, which fetches nothing: its own security policy forbids it.

    `refresh`: seconds after which a browser asks for the page again, where a server gives it. `good_for`: seconds after
    which the page says of itself that it is old.
    """
    style, script = _asset("page.css"), _asset("page.js")
    return _environment.get_template("page.html.j2").render(
        document=document,
        now=document.taken,
        certificates=certificates(document),
        soon=SOON,
        timeline_of=lambda cluster: timeline_of(cluster, document.taken),
        verdict_of=lambda where: worst(one.verdict for one in document.problems if one.where == where),
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
        refresh=refresh,
        good_for=good_for,
    )


def certificates(document: Document) -> list[Certificate]:
    """Every certificate that was seen on the wire, each once: those that cannot be read, then the soonest to expire."""
    sections = [cluster.certificates.value or [] for cluster in document.clusters]
    sections += [group.value.certificates for group in document.redis.values() if group.value]
    found = {(one.service, one.target): one for section in sections for one in section}
    return sorted(found.values(), key=lambda one: (one.expires is not None, one.expires or document.taken, one.target))


def timeline_of(cluster: Cluster, now: datetime) -> Timeline | None:
    """The recovery window of a cluster, with its backups and the targets of its drills."""
    if cluster.recovery.value is None:
        return None
    backups = cluster.backups.value.found if cluster.backups.value else []
    drills = cluster.drills.value.restores if cluster.drills.value else []
    return timeline(cluster.recovery.value, backups, drills, now)


def _asset(name: str) -> str:
    return (files(_HERE) / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """As a Content-Security-Policy names the one script, or style sheet, that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
