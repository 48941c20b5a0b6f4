"""What TimescaleDB keeps of a database in catalogues of its own: hypertables, continuous aggregates, and their jobs.

Numbers that it gives out are left out: they follow from what was made and dropped before.
"""

from __future__ import annotations

from typing import LiteralString

from ops.model.catalogue import Catalogue, Thing
from ops.postgres.connect import Connection

EXTENSION = "timescaledb"
_TRIGGER = (
    "ts_cagg_invalidation_trigger"  # on every hypertable that has an aggregate, with the number of the hypertable
)

_QUERIES: tuple[tuple[str, LiteralString], ...] = (
    (
        "hypertable",
        """
        SELECT format('%I.%I', d.hypertable_schema, d.hypertable_name), concat_ws(', ',
            string_agg(d.column_name || ' in chunks of ' || coalesce(d.time_interval::text, d.num_partitions::text),
                       ', ' ORDER BY d.dimension_number),
            'columns compressed by ' || s.segmentby, 'ordered by ' || s.orderby)
        FROM timescaledb_information.dimensions AS d
        LEFT JOIN timescaledb_information.hypertable_columnstore_settings AS s
            ON s.hypertable = format('%I.%I', d.hypertable_schema, d.hypertable_name)::regclass
        WHERE d.hypertable_schema IN ('public', 'ops')
        GROUP BY d.hypertable_schema, d.hypertable_name, s.segmentby, s.orderby
        """,
    ),
    (
        "continuous aggregate",
        """
        SELECT format('%I.%I', view_schema, view_name),
            CASE WHEN materialized_only THEN 'materialized only' ELSE 'real-time' END || E'\\n' || view_definition
        FROM timescaledb_information.continuous_aggregates
        """,
    ),
    (
        "job",
        """
        SELECT concat_ws(' of ', format('%I.%I', proc_schema, proc_name), hypertable_schema || '.' || hypertable_name),
            concat_ws(', ', 'owner ' || owner, 'every ' || schedule_interval, CASE WHEN NOT scheduled THEN 'off' END,
                      config - 'hypertable_id' - 'mat_hypertable_id')
        FROM timescaledb_information.jobs WHERE job_id >= 1000  -- those below are TimescaleDB's own
        """,
    ),
)


def add_to(found: Catalogue, connection: Connection) -> None:
    """Add what is TimescaleDB's to a catalogue, in place of the views and triggers that it makes of it."""
    for kind, query in _QUERIES:
        for name, definition in connection.execute(query).fetchall():
            found[Thing(kind, name)] = definition
            if kind == "continuous aggregate":
                found.pop(Thing("view", name), None)
            elif kind == "hypertable":
                found.pop(Thing("trigger", f"{_TRIGGER} on {name}"), None)
