"""What an inventory may say about TimescaleDB on a PostgreSQL cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ops.config import Model


class AptSource(Model):
    """A Debian package source. `url`, `suite`, `components` as in sources.list; `key`: the URL or, on the controller,
    the path of the OpenPGP key that signs it."""

    url: Annotated[str, Field(pattern=r"^(https?|file)://\S+$")]
    suite: str
    components: list[str] = ["main"]
    key: str


class TimescaleDB(Model):
    """TimescaleDB in a cluster: where its packages come from, and which. Present in group data: the cluster has it.

    `required`: whether a deploy stops where the source cannot be reached; if not, it leaves the cluster out, and says
    so. `version` pins the package; empty takes the newest of the series that the source offers.
    """

    source: AptSource
    package: str = "timescaledb-2-postgresql-15"
    version: str = ""
    required: bool = True
