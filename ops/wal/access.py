"""The way from a configuration and a data directory to the repository of the database in it; each opened once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ops.config import Config
from ops.model.layout import Layout
from ops.postgres.control import ControlData
from ops.store import open_store
from ops.store.base import Store
from ops.store.repository import Repository, current, repository_at
from ops.wal.everywhere import EveryPusher
from ops.wal.push import Pusher, Source

_FIRST_REST = 30.0  # seconds
_LONGEST_REST = 600.0


class Access:
    """What the configuration gives access to. Safe to share between threads, for as long as it does not change."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._stores: dict[bool, Store] = {}
        self._repositories: dict[tuple[int, bool], Repository] = {}
        self._pushers: dict[tuple[Path, int], Pusher] = {}
        self._others: dict[str, Access] = {}
        self._lock = threading.RLock()
        self._rest, self._rest_until = _FIRST_REST, 0.0

    def open(self) -> None:
        """Open every store now, a third of a second each, and ask nothing of it; OpsError as it would come later."""
        for access in (self, *self.others().values()):
            access._store(patient=True)

    def repository(
        self, data_dir: Path | None, system_identifier: int | None = None, *, patient: bool = True
    ) -> Repository:
        """The repository of the database in `data_dir`, taken to exist; without a database the one that is asked for.

        `patient` False: the store's own retries are off, because the caller has better ones.
        """
        if data_dir is None or system_identifier is not None:
            settings = self.config.repository
            found = current(self._store(patient=patient), settings.prefix, self.config.cluster, system_identifier)
            return self._of(found.system_identifier, patient=patient)
        # Read anew each time: another database may have been put there since.
        return self._of(ControlData.read(data_dir).system_identifier, patient=patient)

    def pusher(self, data_dir: Path) -> Pusher:
        """What archives the files of the database in `data_dir`."""
        identifier = ControlData.read(data_dir).system_identifier
        repository = self._of(identifier, patient=True)
        with self._lock:
            if (data_dir, identifier) not in self._pushers:
                source = Source(data_dir, self.config.postgres.bin_dir)
                level = self.config.wal.compression_level
                others = [self._other(name).pusher(data_dir) for name in self._at_once()]
                self._pushers[data_dir, identifier] = (
                    EveryPusher(source, repository, others, level=level)
                    if others
                    else Pusher(source, repository, level=level)
                )
            return self._pushers[data_dir, identifier]

    def place(self, system_identifier: int) -> Repository:
        """The repository of that database, whether or not anything was ever put there."""
        return self._of(system_identifier, patient=True)

    def others(self) -> dict[str, Access]:
        """Access to each further repository, by its name."""
        return {name: self._other(name) for name in self.config.repositories}

    def at(self, name: str | None) -> Access:
        """Access to the repository of that name alone; None means this one and, for a fetch, all others after it."""
        return self if name in (None, "main") else self._other(name)

    def in_turn(self) -> list[Access]:
        """Access to each repository, in the order in which to ask them for a file: this one first, if it answers."""
        return sorted([self, *self.others().values()], key=Access._is_resting)

    def silent(self) -> None:
        """It gave no answer: for a while the others are asked first, longer each time, so that not every file waits."""
        with self._lock:
            self._rest_until = time.monotonic() + self._rest
            self._rest = min(2 * self._rest, _LONGEST_REST)

    def answered(self) -> None:
        """It is asked in its turn again."""
        with self._lock:
            self._rest, self._rest_until = _FIRST_REST, 0.0

    def _is_resting(self) -> bool:
        return time.monotonic() < self._rest_until

    def _at_once(self) -> list[str]:
        """The repositories without which a file does not count as archived, beside the first one."""
        return list(self.config.repositories) if self.config.wal.policy == "all" else []

    def _other(self, name: str) -> Access:
        with self._lock:
            if name not in self._others:
                self._others[name] = Access(self.config.at(name))
            return self._others[name]

    def _of(self, system_identifier: int, *, patient: bool) -> Repository:
        store = self._store(patient=patient)
        with self._lock:
            if (system_identifier, patient) not in self._repositories:
                settings = self.config.repository
                layout = Layout(settings.prefix, self.config.cluster, system_identifier)
                opened = repository_at(store, layout, settings.encryption, self.config.keys)
                self._repositories[system_identifier, patient] = opened
            return self._repositories[system_identifier, patient]

    def _store(self, *, patient: bool) -> Store:
        settings = self.config.repository
        with self._lock:
            if patient not in self._stores:
                if settings.type == "s3" and not patient:
                    settings = settings.model_copy(update={"attempts": 1})
                self._stores[patient] = open_store(settings)
            return self._stores[patient]
