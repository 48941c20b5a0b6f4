"""Whether a failover would go well: everything that it hangs on is read, nothing is changed.

`look` reads clusters and groups of Redis servers into snapshots, all at once and against the clock (`ask.py`);
`ops.model.failover_checks` judges them. One module for each kind of thing that is asked.
"""

from __future__ import annotations

from ops.readiness.look import look

__all__ = ["look"]
