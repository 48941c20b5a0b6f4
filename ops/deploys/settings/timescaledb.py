"""What an inventory may say about TimescaleDB on a PostgreSQL cluster."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from ops.config import Model
from ops.deploys.settings.postgres import Database, Postgres
from ops.model.packages import numbers
from ops.model.sizing import analytics_parameters

EXTENSION = "timescaledb"
# PostgreSQL's version -> the last series of TimescaleDB for it.
LAST_SERIES = {15: (2, 28)}


class AptSource(Model):
    """A Debian package source. `url`, `suite`, `components` as in sources.list; `key`: the URL or, on the controller,
    the path of the OpenPGP key that signs it."""

    url: Annotated[str, Field(pattern=r"^(https?|file)://\S+$")]
    suite: str
    components: list[str] = ["main"]
    key: str


class TimescaleDB(Model):
    """TimescaleDB in a cluster: where its packages come from, and which. Present in group data: the cluster has it.

    `required`: whether a deploy stops where the source cannot be reached; if not, it leaves the hosts that lack the
    packages out of the cluster, and says so. `version` pins the packages: `2.28.*`, or `2.28.1`, which also takes the
    builds of that release for a distribution. Empty takes the newest that the source offers at the first install.
    `background_workers`: jobs that may run at once, and one scheduler for each database.
    """

    source: AptSource
    package: str = "timescaledb-2-postgresql-15"
    version: Annotated[str, Field(pattern=r"^([0-9][A-Za-z0-9.+~*-]*)?$")] = ""
    required: bool = True
    background_workers: Annotated[int, Field(ge=2)] = 16

    @property
    def packages(self) -> tuple[str, ...]:
        """The extension, and its loader where that is a package of its own, as upstream has it."""
        loader = re.sub(r"^(timescaledb-2)-(postgresql-\d+)$", r"\1-loader-\2", self.package)
        return tuple(dict.fromkeys((self.package, loader)))

    def unfit_for(self, postgres: int) -> str | None:
        """Why this cannot be installed beside that version of PostgreSQL; None where it can."""
        made_for = re.search(r"postgresql-(\d+)", self.package)
        if made_for and int(made_for[1]) != postgres:
            return f"the package {self.package} is for PostgreSQL {made_for[1]}, and postgres.version is {postgres}"
        last = LAST_SERIES.get(postgres)
        if last and numbers(self.version)[:2] > last:
            series = ".".join(map(str, last))
            return f"version {self.version} is not for PostgreSQL {postgres}, whose last series is {series}"
        return None

    def on(self, postgres: Postgres) -> Postgres:
        """The cluster as declared, with what TimescaleDB asks of it; what the inventory sets by name stays."""
        parameters = analytics_parameters(self.background_workers, postgres.sizing.cores)
        return postgres.model_copy(
            update={
                "preload": [EXTENSION, *(library for library in postgres.preload if library != EXTENSION)],
                "databases": {name: _with_extension(database) for name, database in postgres.databases.items()},
                "settings": parameters | postgres.settings,
            }
        )


def _with_extension(database: Database) -> Database:
    names = [EXTENSION, *(name for name in database.extensions if name != EXTENSION)]
    return database.model_copy(update={"extensions": names})
