"""What makes a drill pass: all of these, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ops.model import oracle
from ops.model.oracle import Finding, Observed


@dataclass(frozen=True)
class Check:
    """A question to what a drill has observed. The docstring of `judge` says what it means."""

    name: str
    judge: Callable[[Observed], Finding]


DRILL_CHECKS = (
    Check("stopped at the target", oracle.stopped_at_target),
    Check("row before it is there", oracle.row_before),
    Check("row after it is not", oracle.row_after),
    Check("no row is missing", oracle.rows_unbroken),
    Check("tables and indexes", oracle.relations_sound),
    Check("invariants", oracle.invariants_hold),
    Check("opens for writing", oracle.opened_for_writing),
    Check("page checksums", oracle.checksums_match),
    Check("recovery time (RTO)", oracle.rto_kept),
    Check("recovery point (RPO)", oracle.rpo_kept),
)
