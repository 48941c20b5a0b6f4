"""A lease in the store, so that two hosts do not do the same at once: two backups would only be in each other's way.

Every object is put once, so a lease is a row of numbers: whoever puts the next one holds it. The holder gives a sign
of life once a minute and puts an end in the end. Nobody compares clocks to take a lease away: it is free when it has
ended, when its process is known to be gone (same host, same boot), or when a watch of our own sees no sign of life.
A clock that is wrong makes somebody wait, and never lets two in.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from ops.backup.report import Reporter
from ops.errors import OpsError, Unreachable
from ops.store.base import AlreadyExists, NotFound, Stored
from ops.store.repository import Repository

BACKUP = "backup"  # the lease of what puts backups and packs: one at a time in each repository
_NAME = re.compile(r"(\d{8})(?:\.(beat-\d{6}|end))?")


@dataclass(frozen=True)
class Patience:
    """Seconds: between signs of life, until a holder may be dead, and for how long such a one is watched."""

    beat: float = 60
    dead: float = 180
    watch: float = 90


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. `since` is by its own clock; boot, namespace and `started` tell its process from others."""

    host: str
    pid: int
    since: str
    boot: str
    namespace: str
    started: str
    token: str

    @classmethod
    def ourselves(cls) -> Holder:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        started = _started(os.getpid())
        return cls(socket.gethostname(), os.getpid(), now, _boot(), _namespace(), started, secrets.token_hex(8))

    @classmethod
    def decode(cls, body: bytes) -> Holder | None:
        try:
            return cls(**json.loads(body))
        except (ValueError, TypeError):
            return None

    def encode(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @property
    def gone(self) -> bool:
        """Whether it was a process of this very system that does not exist any more; False where that is not known."""
        if (self.boot, self.namespace) != (_boot(), _namespace()):
            return False
        return _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}, since {self.since} by its clock"


@dataclass(frozen=True)
class _Seen:
    """The newest lease: its number (0: there never was one), whether it has ended, its last sign of life."""

    number: int
    ended: bool
    last: Stored | None


class Lease:
    """Held from `with` to its end. `what` names it, and is the folder of its objects."""

    def __init__(self, repository: Repository, what: str, reporter: Reporter, patience: Patience | None = None) -> None:
        self._repository = repository
        self._store = repository.store
        self._what = what
        self._reporter = reporter
        self._patience = patience or Patience()
        self._number = 0
        self._beats = 0
        self._over = threading.Event()
        self.lost = False  # as far as the last sign of life has shown

    def __enter__(self) -> Lease:
        """OpsError, naming the holder, where another one has it."""
        seen = self._look()
        if seen.number and not seen.ended:
            self._see_that_it_is_dead(seen)
        self._take(seen.number + 1)
        threading.Thread(target=self._live, name=f"lease {self._what}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with suppress(AlreadyExists, Unreachable):  # nobody gets it too early; somebody may have to watch
            self._store.put(self._key(self._number, ".end"), b"")
        self._clean()

    def check(self) -> None:
        """OpsError where somebody else has taken it over: we were taken for dead."""
        try:
            successor = self._store.get(self._key(self._number + 1))
        except NotFound:
            return
        raise OpsError(
            f"the lease on {self._what} of {self._repository.layout.cluster!r} was taken over while this run lasted",
            detail=f"by {Holder.decode(successor) or 'nobody knows whom'}: it saw no sign of life of ours",
            hint="This host was suspended, or did not reach the store. What it stored is used by the next run.",
        )

    def _take(self, number: int) -> None:
        mine = Holder.ourselves().encode()
        try:
            self._store.put(self._key(number), mine)
        except AlreadyExists:
            body = self._store.get(self._key(number))
            if body != mine:  # otherwise it was our own PUT, sent twice
                raise self._refused(Holder.decode(body), "it was faster by a moment") from None
        self._number = number

    def _see_that_it_is_dead(self, seen: _Seen) -> None:
        """Returns when the holder of a lease that has not ended is dead; OpsError when it may live."""
        holder = Holder.decode(self._store.get(self._key(seen.number)))
        if holder and holder.gone:
            return
        assert seen.last is not None
        age = (datetime.now(UTC) - seen.last.modified).total_seconds()
        if age < self._patience.dead:
            raise self._refused(holder, f"its last sign of life is {max(age, 0):.0f} s old, if clocks agree")
        with self._reporter.stage(f"watch for a sign of life of {holder.host if holder else 'the last run'}"):
            deadline = time.monotonic() + self._patience.watch
            while time.monotonic() < deadline:
                time.sleep(min(5, self._patience.watch / 5))
                now = self._look()
                if now.number == seen.number and now.ended:
                    return
                if now != seen:
                    raise self._refused(holder, "it has just given a sign of life, though clocks disagree")

    def _refused(self, holder: Holder | None, detail: str) -> OpsError:
        return OpsError(
            f"another {self._what} of {self._repository.layout.cluster!r} is running: {holder or 'nobody knows whose'}",
            detail=detail,
            hint=f"Wait for it. If that host is gone, this works {self._patience.dead:.0f} s after its last sign of "
            "life; nothing need be deleted.",
        )

    def _look(self) -> _Seen:
        found: dict[int, list[tuple[str | None, Stored]]] = {}
        folder = self._repository.layout.leases(self._what)
        for stored in self._store.list(folder):
            if match := _NAME.fullmatch(stored.key.removeprefix(folder)):
                found.setdefault(int(match[1]), []).append((match[2], stored))
        if not found:
            return _Seen(0, True, None)
        newest = max(found)
        objects = found[newest]
        ended = any(suffix == "end" for suffix, _ in objects)
        return _Seen(newest, ended, max((stored for _, stored in objects), key=lambda one: (one.modified, one.key)))

    def _live(self) -> None:
        while not self._over.wait(self._patience.beat):
            self._beats += 1
            with suppress(AlreadyExists, Unreachable):
                self._store.put(self._key(self._number, f".beat-{self._beats:06d}"), b"")
                self.lost = self._look().number > self._number

    def _clean(self) -> None:
        """Remove what the next one need not see: all but the number itself and its end, where we may."""
        keep = {self._key(self._number), self._key(self._number, ".end")}
        with suppress(OpsError):
            for stored in self._store.list(self._repository.layout.leases(self._what)):
                if stored.key < max(keep) and stored.key not in keep:
                    self._store.delete(stored.key)

    def _key(self, number: int, suffix: str = "") -> str:
        return f"{self._repository.layout.leases(self._what)}{number:08d}{suffix}"


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _namespace() -> str:
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str:
    """When a process began, in ticks since the boot; empty where there is none."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def _read(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text()
    return ""
