"""A client on the host of the old primary, for a fault that leaves it running where nobody sees it.

This file is sent to that host and run by the interpreter of the `ops` that is installed there: who writes to an old
primary after it was cut off must sit on its side. It goes through the local socket as postgres, twenty rows a second,
and notes each statement in a file. The lab's hosts share this machine's clock, so its moments are the drill's.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import psycopg

from ops.model.journal import kind

PERIOD = 0.05


def main(database: str, port: str, statement: str, journal: str, *who: str) -> None:
    """Until somebody ends this process. `who`: what `statement` is given before the number of the row."""
    numbers = count(1)
    with Path(journal).open("a", buffering=1) as notes:
        while True:
            with suppress(psycopg.Error), psycopg.connect(dbname=database, port=int(port), autocommit=True) as server:
                while True:
                    _write(server, statement, (*who, next(numbers)), notes)
                    time.sleep(PERIOD)
            time.sleep(PERIOD)


def _write(server: psycopg.Connection[Any], statement: str, values: tuple[object, ...], notes: TextIO) -> None:
    note: dict[str, object] = {"number": values[-1], "sent": time.monotonic()}
    try:
        row = server.execute(statement.encode(), values).fetchone()
        note["server"] = row and row[0]
    except psycopg.Error as error:
        note["error"] = kind(error.sqlstate, str(error))
        raise
    finally:
        notes.write(json.dumps(note | {"done": time.monotonic()}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
