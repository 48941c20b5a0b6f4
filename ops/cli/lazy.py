"""Groups whose commands are imported when they are asked for: a host runs one of them at a time, and often."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from ops.errors import UsageError

# Modules that only the controller has: a host gets neither its wing of `ops` nor what that needs.
_CONTROLLER_ONLY = ("ops.deploys", "ops.failover", "ops.lab", "pyinfra")


class LazyGroup(click.Group):
    """A group that has commands of other modules: `elsewhere` is a command's name → the name of the click object."""

    def __init__(self, *args: Any, elsewhere: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._elsewhere = elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._elsewhere})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; None on a host for one that only the controller has, so that it is not listed there."""
        if cmd_name not in self._elsewhere:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._elsewhere[cmd_name].rpartition(".")
        try:
            found = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            if not is_controllers(error):
                raise
            return None
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self._elsewhere and self.get_command(ctx, args[0]) is None:
            raise not_here(f"{self.name} {args[0]}")
        return super().resolve_command(ctx, args)


def is_controllers(error: ModuleNotFoundError) -> bool:
    """Whether what is missing is on the controller only."""
    return str(error.name).startswith(_CONTROLLER_ONLY)


def not_here(command: str) -> UsageError:
    """What to say to whoever asks for a command of the controller elsewhere."""
    return UsageError(
        f"`ops {command}` is for the controller, the machine that deploys; it is not installed here",
        hint="Run it in the checkout that this host is deployed from.",
    )
