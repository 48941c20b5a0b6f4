"""What click would object to in command lines: a JSON list of them on stdin, one of objections (or "") on stdout."""

from __future__ import annotations

import json
import shlex
import sys

import click

from ops.cli import cli


def objection(text: str) -> str:
    """What click would object to in a command line, its required arguments aside: `…` stands for more."""
    command: click.Command = cli
    context = click.Context(cli)
    words = [word for word in shlex.split(text)[1:] if word != "…"]
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None:
            return "" if words[0].startswith("-") else f"there is no command {words[0]!r}"
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in known]
    return f"it has no {unknown[0]}" if unknown else ""


if __name__ == "__main__":
    json.dump([objection(text) for text in json.load(sys.stdin)], sys.stdout)
