"""The command line: one module per noun, and the only code that prints or exits.

A command raises `OpsError`; `main` is the one place that turns it into text (or JSON) and an exit code.
Groups are imported when they are asked for: `ops wal push` runs once per WAL segment and must not pay
for the lab, and a database host has no pyinfra.
"""

from __future__ import annotations

import importlib
import sys
from keyword import iskeyword

import click

from ops.cli.lazy import is_controllers, not_here
from ops.cli.output import print_error
from ops.errors import Exit, OpsError

# noun -> what it is for. The module of the same name in ops.cli holds a click group or command of that name; where that
# is a word of Python, both have an underscore behind it.
GROUPS = {
    "audit": "Whether the audit trail of a database is what was written.",
    "backup": "Take, list and restore base backups.",
    "cluster": "Bring a PostgreSQL cluster to what the inventory declares, and show it.",
    "connect": "What to tell an application: connection strings through the routers.",
    "db": "The databases of applications: migrations, validation, views, how quick they are.",
    "drill": "Prove that a restore works, against real data.",
    "drift": "Where the running fleet differs from what the inventory declares.",
    "etcd": "Who keeps the leader lock, and who no longer does.",
    "exporter": "What only we know, for Prometheus, and the status page.",
    "failover": "Whether a failover would go well, and proof that one did.",
    "heartbeat": "The row a second that restore drills are measured by.",
    "import": "From the JSON files of the old server into the database, and back.",
    "keys": "The keys of an encrypted repository, and what would be lost with them.",
    "lab": "The local fleet: real hosts on this machine.",
    "plan": "What a deploy would do, and what that does to what runs.",
    "preflight": "Whether a fleet is fit for a deploy; changes nothing.",
    "repository": "The object storage that WAL and backups go to.",
    "status": "Everything that is known of the fleet: on a screen, as JSON, as a page.",
    "wal": "Archive and fetch WAL; what PostgreSQL calls.",
}


class LazyGroups(click.Group):
    """A group that imports a subcommand's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return None
        try:
            name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
            command = getattr(importlib.import_module(f"ops.cli.{name}"), name)
        except ModuleNotFoundError as error:
            if not is_controllers(error):
                raise
            raise not_here(cmd_name) from error
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(GROUPS.items()))


@click.command(cls=LazyGroups, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pend-ops", prog_name="ops")
def cli() -> None:
    """Run PostgreSQL so that every recovery claim is proven.

    Exit codes: 0 done or healthy, 1 the check or drill says no, 2 usage, 3 could not find out.
    `ops wal push` and `ops wal fetch` follow PostgreSQL's contract instead.
    """


def main() -> None:
    """Entry point of the `ops` command."""
    try:
        code = cli.main(standalone_mode=False)
    except OpsError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(Exit.USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    # click hands back what ctx.exit() was given; a command's own return value is no exit code.
    sys.exit(code if isinstance(code, int) else Exit.OK)
