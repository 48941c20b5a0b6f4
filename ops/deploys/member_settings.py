"""For `ops plan`: what settings that a member has for itself, from its size, would do to its running server."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra import host

from ops.deploys.marks import Mark, follows
from ops.deploys.operations import JsonOf
from ops.model.settings import Setting, impacts

_ASK = (
    'cd / && runuser -u postgres -- psql -XAtqc "SELECT json_agg(s) FROM (SELECT name, setting AS value, unit, '
    'vartype AS type, context, current_setting(name) AS shown FROM pg_settings) s"'
)


def say_what_follows(file: str, parameters: Mapping[str, str], *, members: int) -> None:
    """Where `file` is to be written with other `parameters` than the server runs with: each of them, and its impact."""
    for row in host.get_fact(JsonOf, command=_ASK) or []:
        shown, setting = row.pop("shown"), Setting(**row)
        wanted = parameters.get(setting.name)
        if wanted is not None and not setting.is_set_to(wanted):
            what = f"{setting.name} {shown} → {wanted}"
            follows(f"Write {file}", Mark(impacts(setting.context, members=members), what))
