"""Where everything lies in object storage (docs/adr/0002-storage-layout.md). Every object is put once.

    <prefix>/<cluster>/<system identifier>/
        repository.json                 what this repository holds: format, segment size, version
        wal/<timeline>/<name>           segments, .partial and .backup files, by PostgreSQL's exact names
        wal/<timeline>.history
        tail/<segment>/<start>-<end>    pieces of the segment that is still being written
        packs/<pack id>                 blocks of base backups, with a trailing index
        backups/<backup id>/files       which blocks make up which file
        backups/<backup id>/manifest    put last: its existence is the commit
        keys/<data key>.<kek>           data keys, each wrapped by a key-encryption key
        probes/<moment>.json            what the store was found to do, when somebody tried
        ledger/<moment>.part, .full     which WAL was verified when
        verified/<moment>.part, .full   which packs were verified when
        leases/<what>/<number>          who takes a backup just now, with .beat-<n> and .end
        tombstones/<number>             what retention is about to remove, and since when
        copied/<pack id>.<pack id>      which pack of another repository was copied as which of this one
        evidence/drills/<drill id>.json what a restore drill proved
        evidence/failovers/<id>.json    what a failover drill measured
        evidence/audit/<database>/verdicts/<id>.json    what a look at the audit trail found
        evidence/audit/<database>/anchors/<id>.json     where its chains ended

The system identifier keeps a rebuilt or upgraded cluster of the same name apart from its predecessor.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.model.segment import Kind, WalFile
from ops.model.tail import Piece


@dataclass(frozen=True)
class Layout:
    """The keys of one cluster's repository."""

    prefix: str
    cluster: str
    system_identifier: int

    @property
    def root(self) -> str:
        return f"{cluster_root(self.prefix, self.cluster)}{self.system_identifier}/"

    @property
    def repository(self) -> str:
        return f"{self.root}repository.json"

    @property
    def wal_root(self) -> str:
        return f"{self.root}wal/"

    def wal(self, file: WalFile) -> str:
        if file.kind is Kind.HISTORY:
            return f"{self.wal_root}{file.name}"
        return f"{self.wal_root}{file.timeline:08X}/{file.name}"

    @property
    def tail_root(self) -> str:
        return f"{self.root}tail/"

    def tail(self, piece: Piece) -> str:
        return f"{self.tail_root}{piece.segment}/{piece.name}"

    @property
    def packs(self) -> str:
        return f"{self.root}packs/"

    def pack(self, pack_id: str) -> str:
        return f"{self.packs}{pack_id}"

    @property
    def backups(self) -> str:
        return f"{self.root}backups/"

    def manifest(self, backup_id: str) -> str:
        return f"{self.backups}{backup_id}/manifest"

    def files(self, backup_id: str) -> str:
        return f"{self.backups}{backup_id}/files"

    @property
    def probes(self) -> str:
        return f"{self.root}probes/"

    @property
    def keys(self) -> str:
        return f"{self.root}keys/"

    def key(self, data_key: str, key_encryption_key: str) -> str:
        return f"{self.keys}{data_key}.{key_encryption_key}"

    @property
    def ledger(self) -> str:
        return f"{self.root}ledger/"

    @property
    def verified(self) -> str:
        return f"{self.root}verified/"

    def leases(self, what: str) -> str:
        return f"{self.root}leases/{what}/"

    @property
    def tombstones(self) -> str:
        return f"{self.root}tombstones/"

    @property
    def copied(self) -> str:
        return f"{self.root}copied/"

    @property
    def evidence(self) -> str:
        return f"{self.root}evidence/"

    @property
    def drills(self) -> str:
        return f"{self.root}evidence/drills/"

    def drill(self, drill_id: str) -> str:
        return f"{self.drills}{drill_id}.json"

    @property
    def failovers(self) -> str:
        return f"{self.root}evidence/failovers/"

    def failover(self, drill_id: str) -> str:
        return f"{self.failovers}{drill_id}.json"

    @property
    def audits(self) -> str:
        return f"{self.root}evidence/audit/"

    def verdicts(self, database: str) -> str:
        return f"{self.audits}{database}/verdicts/"

    def anchors(self, database: str) -> str:
        return f"{self.audits}{database}/anchors/"


def cluster_root(prefix: str, cluster: str) -> str:
    """The folder under which each system identifier of a cluster has its own."""
    parts = [part for part in (prefix.strip("/"), cluster) if part]
    return "/".join(parts) + "/"
