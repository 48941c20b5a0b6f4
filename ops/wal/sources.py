"""Where a file is fetched from: of all configured repositories the first that has it, and has it intact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.model.segment import Kind, WalFile
from ops.store.repository import Repository
from ops.wal.access import Access


@dataclass(frozen=True)
class Sources:
    """The repositories of the database in `data_dir`, or of the one with that identifier; opened when they are asked.

    `standby`: it is a standby that asks, which asks its primary next, and then again.
    """

    access: Access
    data_dir: Path | None
    system_identifier: int | None
    standby: bool
    tell: Callable[[BaseException | str], None]

    @property
    def main(self) -> Repository:
        """The repository that counts; the live tail is there alone."""
        return self._open(self.access)

    def bring(self, file: WalFile, bring: Callable[[Repository], bool]) -> bool:
        """`bring` the file from the first repository that can give it. False where each said that it has not got it.

        Where one gave no answer and none has the file, what kept the first such one is raised: it may have had it. A
        standby believes the first answer, if that is not a gap: it must not wait for a site that is far away, or gone.
        """
        problem: OpsError | None = None
        for access in (turns := self.access.in_turn()):
            try:
                repository = self._open(access)
                found = bring(repository)
                access.answered()
                if found or (self.standby and len(turns) > 1 and not names_from(repository, file)):
                    self._tell_of(problem, file, repository, found=found)
                    return found
            except OpsError as error:
                if isinstance(error, Unreachable):
                    access.silent()
                problem = problem or error
        if problem is not None:
            raise problem
        return False

    def names_from(self, file: WalFile) -> list[str]:
        """The segments of the file's timeline from it onwards that any repository has, as `names_from` finds them."""
        return sorted({name for access in self.access.in_turn() for name in names_from(self._open(access), file)})

    def _open(self, access: Access) -> Repository:
        return access.repository(self.data_dir, self.system_identifier, patient=not self.standby)

    def _tell_of(self, problem: OpsError | None, file: WalFile, repository: Repository, *, found: bool) -> None:
        if problem is not None:
            self.tell(problem)
            self.tell(f"{repository.store.name} was asked instead, and {'has' if found else 'has not got'} {file.name}")


def names_from(repository: Repository, file: WalFile) -> list[str]:
    """The stored segments of the file's timeline from it onwards, as far as this and the next 4 GiB of WAL."""
    if file.kind is not Kind.SEGMENT:
        return []
    folder = repository.layout.wal(file).removesuffix(file.name)
    prefixes = (file.name[:16], f"{file.name[:8]}{int(file.name[8:16], 16) + 1:08X}")
    keys = [found.key for prefix in prefixes for found in repository.store.list(folder + prefix)]
    names = (key.removeprefix(folder) for key in keys)
    return [name for name in names if len(name) == len(file.name) and name >= file.name]
