"""Whether a database is what its migrations make: they are applied to a scratch database beside it, and both
catalogues are compared. The same server makes it from the same files, so that there is no third account to keep true.
"""

from __future__ import annotations

from ops.database import catalogue
from ops.database.migrations import Patience, migrate, status
from ops.database.scratch import scratch
from ops.database.target import Target, alone
from ops.errors import OpsError
from ops.model.catalogue import Discrepancy, compare
from ops.model.migrations import Standing

_SCRATCH = "ops_validate_"


def validate(target: Target) -> list[Discrepancy]:
    """Every difference between the database and what its applied migrations make of an empty one.

    Pending migrations are no difference; OpsError where none was applied yet. Needs a server that can be written to.
    """
    found = status(target)
    applied = [one.name for one in found if one.state in ("applied", "changed")]
    if not applied:
        raise OpsError("no migration was applied to this database yet", hint="ops db migrate")
    with target.connect() as live:
        actual, extensions = catalogue.read(live), catalogue.extensions(live)
        closed = [_closed(name, why) for name, why in catalogue.open_owners(live)]
    with target.connect() as live, alone(live, "validate"), scratch(target, live, _SCRATCH) as beside:
        migrate(beside, Patience(), lambda _: None, upto=applied[-1])
        with beside.connect() as connection:
            declared, wanted = catalogue.read(connection), catalogue.extensions(connection)
    lacking = [Discrepancy("extension", name, "missing", "installed", "") for name in sorted(wanted - extensions)]
    return [*_files(found), *closed, *lacking, *compare(declared, actual)]


def _files(found: list[Standing]) -> list[Discrepancy]:
    """Files that are not what was applied. The comparison is with the files as they are now."""
    words = {"changed": "as it was applied", "missing": "in the folder"}
    return [
        Discrepancy("migration", one.name, "different" if one.state == "changed" else "missing", words[one.state], "")
        for one in found
        if one.state in words
    ]


def _closed(name: str, why: str) -> Discrepancy:
    return Discrepancy("role", name, "different", "nobody can act as it", why)
