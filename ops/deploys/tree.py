"""Where a deploy keeps its files, looked at in one question: nearly all that it asks is how a file there is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pyinfra.api.facts import FactBase
from pyinfra.facts.files import Directory, File, Link, Sha1File, Sha256File

FOLDERS = (
    "/etc/default",
    "/etc/haproxy",
    "/etc/ops",
    "/etc/patroni",
    "/etc/pgbouncer",
    "/etc/postgresql-common",
    "/etc/redis",
    "/etc/seaweedfs",
    "/etc/security/limits.d",
    "/etc/sysctl.d",
    "/etc/systemd/system",
    "/usr/local/bin",
    "/usr/local/sbin",
)
LARGEST = "1024k"  # what is larger is none of ours, and not read for its digest
UNKNOWN = object()
_KINDS = (File, Directory, Link)
_DIGESTS = {Sha1File: 40, Sha256File: 64}  # hexadecimal digits
# As pyinfra's own facts have it: what they make of such a line is left to them.
_FORMAT = r"user=%U group=%G mode=%A atime=%X mtime=%Y ctime=%Z size=%s %N\t%n\n"


@dataclass
class Entry:
    """What lies at a path: a line of `stat`, and the digests of a file by their number of hexadecimal digits."""

    stat: str
    digests: dict[int, str] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        return bool(Directory().process([self.stat]))


class Tree(FactBase[dict[str, Entry]]):
    """All that lies in FOLDERS and below, by its path."""

    default = dict

    def command(self, folders: tuple[str, ...] = FOLDERS) -> str:
        find, files = f"find {shlex.join(folders)}", f"-type f -size -{LARGEST}"
        return (
            f"{{ {find} -exec stat --printf {shlex.quote(_FORMAT)} {{}} +; "
            f"{find} {files} -exec sha1sum {{}} +; {find} {files} -exec sha256sum {{}} +; }} 2>/dev/null; true"
        )

    def process(self, output: list[str]) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for line in output:
            stat, tab, path = line.rpartition("\t")
            if tab:
                found[path] = Entry(stat)
                continue
            digest, _, path = line.partition("  ")
            if path in found:
                found[path].digests[len(digest)] = digest
        return found


def path_asked(fact: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """The path in FOLDERS that a fact is asked about; None for any other question."""
    if fact not in (*_KINDS, *_DIGESTS) or args or kwargs.keys() != {"path"}:
        return None
    path = str(kwargs["path"])
    return path if any(PurePosixPath(path).is_relative_to(folder) for folder in FOLDERS) else None


def answer(fact: Any, path: str, tree: Mapping[str, Entry]) -> Any:
    """What the host would say to `fact` about `path`; UNKNOWN where the tree does not tell."""
    entry = tree.get(path)
    if entry is None:
        parent = tree.get(str(PurePosixPath(path).parent))
        return fact.default() if parent and parent.is_folder else UNKNOWN
    if fact in _KINDS:
        return fact().process([entry.stat])
    return entry.digests.get(_DIGESTS[fact], UNKNOWN)
