"""What pyinfra is spared changes none of its answers."""

from __future__ import annotations

import inspect
from typing import get_type_hints

import pytest
from pyinfra.api import Config, Inventory, State, arguments, util

from ops.deploys.connection import without_detours


def test_the_lines_that_an_operation_was_called_from_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(Inventory(([], {})), Config())
    state.current_deploy_filename = __file__
    without_detours()
    ways = ((inspect.stack, inspect.getframeinfo), (util.stack, util.getframeinfo))
    assert ways[0] != ways[1]
    found = []
    for stack, getframeinfo in ways:
        monkeypatch.setattr(util, "stack", stack)
        monkeypatch.setattr(util, "getframeinfo", getframeinfo)
        found.append(util.get_operation_order_from_stack(state))
    assert found[0]
    assert found[0] == found[1]


def test_the_arguments_of_every_operation_are_the_same() -> None:
    without_detours()
    assert arguments.all_global_arguments() == list(get_type_hints(arguments.AllArguments).items())
    assert arguments.all_global_arguments() is not arguments.all_global_arguments(), "nobody can change another's"
