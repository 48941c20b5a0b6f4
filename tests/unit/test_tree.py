"""One look at our folders answers what pyinfra asks about each file, exactly as the host itself would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.host import Host
from pyinfra.facts.files import Directory, File, FileContents, Link, Sha1File, Sha256File

from ops.deploys.tree import FOLDERS, UNKNOWN, Tree, answer, path_asked

FACTS = (File, Directory, Link, Sha1File, Sha256File)


@pytest.fixture
def host() -> Iterator[Host]:
    """This machine."""
    state = State(Inventory((["@local"], {})), Config())
    connect_all(state)
    yield next(iter(state.inventory))
    disconnect_all(state)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One of everything that may lie in a folder."""
    (tmp_path / "file").write_text("contents\n")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o400)
    (tmp_path / "with a blank and 'quotes'").write_text("y")
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(bytes(2 * 1024**2))
    (tmp_path / "below" / "deeper").mkdir(parents=True)
    (tmp_path / "below" / "deeper" / "file").write_text("z")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "to below").symlink_to("below")
    return tmp_path


def test_what_the_tree_answers_is_what_the_host_would_say(host: Host, folder: Path) -> None:
    tree = host.get_fact(Tree, folders=(str(folder),))
    paths = [*folder.rglob("*"), folder / "absent", folder / "below" / "absent", folder]
    asked = [(fact, path) for fact in FACTS for path in paths]
    answers = {(fact, path): answer(fact, str(path), tree) for fact, path in asked}
    left = {(fact, path.name) for (fact, path), found in answers.items() if found is UNKNOWN}
    digests = {Sha1File, Sha256File}
    no_small_files = {"large", "link", "broken", "to below", "below", "deeper", folder.name}
    assert left == {(fact, name) for fact in digests for name in no_small_files}
    for (fact, path), found in answers.items():
        if found is not UNKNOWN:
            said: Any = host.get_fact(fact, path=str(path))
            assert _without_times(found) == _without_times(said), (fact, path)


def _without_times(said: Any) -> Any:
    """The time of the last look changes by looking."""
    return {key: value for key, value in said.items() if key != "atime"} if isinstance(said, dict) else said


def test_what_the_tree_has_not_seen_is_asked_of_the_host(host: Host, folder: Path) -> None:
    tree = host.get_fact(Tree, folders=(str(folder / "below"),))
    assert answer(File, str(folder / "absent"), tree) is UNKNOWN
    assert answer(File, str(folder / "to below" / "absent"), tree) is UNKNOWN
    assert answer(File, str(folder / "below" / "absent" / "absent"), tree) is UNKNOWN


def test_only_plain_questions_about_files_of_ours_are_taken() -> None:
    ours = f"{FOLDERS[0]}/file"
    assert path_asked(File, (), {"path": ours}) == ours
    assert path_asked(Directory, (), {"path": FOLDERS[0]}) == FOLDERS[0]
    assert path_asked(File, (), {"path": "/etc/passwd"}) is None
    assert path_asked(File, (), {"path": f"{FOLDERS[0]}-other/file"}) is None
    assert path_asked(FileContents, (), {"path": ours}) is None
    assert path_asked(File, (), {"path": ours, "_sudo": True}) is None
