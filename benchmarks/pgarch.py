"""PostgreSQL's archiver: archive_command for each file that waits, by the shell, then .ready becomes .done.

    python3 pgarch.py COMMAND < NAMES        run as PostgreSQL's user in the data directory; prints the seconds it took

A small process of its own, like the real one, so that neither a change of user nor the size of a benchmark counts.
"""

import os
import sys
import time

command, names = sys.argv[1], sys.stdin.read().split()
start = time.perf_counter()
for name in names:
    asked = command.replace("%p", f"pg_wal/{name}").replace("%f", name)
    if os.system(asked):  # noqa: S605  as PostgreSQL does it
        sys.exit(f"failed: {asked}")
    status = f"pg_wal/archive_status/{name}"
    os.rename(f"{status}.ready", f"{status}.done")  # noqa: PTH104
sys.stdout.write(f"{time.perf_counter() - start}\n")
