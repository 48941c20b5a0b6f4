"""Facts are asked once, and again after anything was done to any host."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyinfra.api import Config, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host

from ops.deploys.memory import forget, remember_facts


class Asked(FactBase[list[str]]):
    """Says how often it was asked: each time leaves a line in the file."""

    def command(self, path: str) -> str:
        return f"echo asked >> {shlex.quote(path)}; cat {shlex.quote(path)}"

    def process(self, output: list[str]) -> list[str]:
        return output


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two that are this machine."""
    states = [State(Inventory((["@local"], {})), Config()) for _ in range(2)]
    for state in states:
        connect_all(state)
    first, second = (next(iter(state.inventory)) for state in states)
    remember_facts(first)
    remember_facts(second)
    yield first, second
    for state in states:
        disconnect_all(state)


def times(host: Host, path: Path) -> int:
    return len(host.get_fact(Asked, path=str(path)))


def test_a_question_is_asked_once_and_another_one_by_itself(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    host, _ = hosts
    assert [times(host, tmp_path / "a") for _ in range(3)] == [1, 1, 1]
    assert times(host, tmp_path / "b") == 1


def test_what_is_done_to_any_host_has_it_asked_again_on_all(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    host, other = hosts
    assert [times(host, tmp_path / "a"), times(other, tmp_path / "b")] == [1, 1]
    other.run_shell_command(StringCommand("true"))
    assert [times(host, tmp_path / "a"), times(other, tmp_path / "b")] == [2, 2]
    (tmp_path / "new").write_text("x")
    host.put_file(str(tmp_path / "new"), str(tmp_path / "put"))
    assert [times(host, tmp_path / "a"), times(other, tmp_path / "b")] == [3, 3]
    forget()
    assert times(host, tmp_path / "a") == 4


def test_who_changes_an_answer_does_not_change_what_the_next_is_told(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    host, _ = hosts
    host.get_fact(Asked, path=str(tmp_path / "a")).append("not from the host")
    assert times(host, tmp_path / "a") == 1
