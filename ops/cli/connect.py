"""`ops connect`: what to tell an application."""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli.output import emit_json
from ops.deploys.inventory import load
from ops.deploys.routes import routes
from ops.model import routing

STYLES = {
    "libpq": routing.keywords,
    "libpq, as a URI": routing.uri,
    "psycopg 3": routing.psycopg,
    "node-postgres": routing.node_postgres,
}


@click.command()
@click.argument("inventory", type=click.Path(path_type=Path, exists=True))
@click.argument("database")
@click.option("--user", help="The role to connect as. [default: the database's owner]")
@click.option("--ca-file", default="/etc/ops/pki/ca.crt", show_default=True, help="The CA, on the client's host.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def connect(inventory: Path, database: str, user: str | None, ca_file: str, as_json: bool) -> None:
    """The connection strings for DATABASE of INVENTORY: through the routers, verified, and with sound timeouts.

    The password is in none of them: it is the secret `role_<user>`, and belongs into ~/.pgpass or PGPASSWORD.
    """
    write, read = routes(load(inventory), database, user=user, ca_file=ca_file)
    if as_json:
        ways = {"write": write, "read": read}
        emit_json({use: {style: make(route) for style, make in STYLES.items()} for use, route in ways.items()})
        return
    for style, make in STYLES.items():
        click.echo(f"# {style}\n{make(write)}\n")
    click.echo(f"To read, where a moment's delay does no harm: the same with port {read.port}.")
