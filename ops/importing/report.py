"""What came of an import, as a document and as a page: one file, nothing fetched from elsewhere."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ops.importing.run import Outcome
from ops.importing.state import Compared
from ops.model.json_rows import Totals


def document(outcome: Outcome) -> dict[str, Any]:
    """The object that `--json` prints, and that the page shows. Sums and checksums are text: they are exact."""
    return {
        "equal": outcome.equal,
        "seconds": outcome.seconds,
        "kept": str(outcome.kept),
        "rejects": str(outcome.rejects),
        "files": [
            {
                "file": one.name,
                "bytes": one.bytes,
                "sha256": one.sha256,
                "problem": one.problem,
                "done": one.done,
                "not_imported": outcome.plain.get(one.name, []),
            }
            for one in outcome.files
        ],
        "sections": outcome.sections,
        "tables": [_table(one) for one in outcome.tables],
        "reasons": [
            {"file": file, "section": section, "reason": reason, "records": count}
            for file, section, reason, count in outcome.reasons
        ],
    }


def _table(one: Compared) -> dict[str, Any]:
    return {"table": one.table, "equal": one.equal, "read": _totals(one.expected), "database": _totals(one.found)}


def _totals(totals: Totals) -> dict[str, Any]:
    return {"rows": totals.rows, "sum": format(totals.money, "f"), "checksum": format(totals.checksum, "f")}


def html(found: dict[str, Any]) -> str:
    """The page for a document."""
    environment = Environment(
        loader=PackageLoader("ops.importing", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(found=found)
