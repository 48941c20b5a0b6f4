"""`ops exporter`: what only we know, for Prometheus, over TLS."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ops.cli.lazy import LazyGroup
from ops.cli.signals import Stop
from ops.errors import UsageError
from ops.exporter.scrape import Exporter
from ops.exporter.server import Endpoint, Server
from ops.model import login as logins

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)
_OPTIONS = (
    click.option("--listen", required=True, metavar="ADDRESS:PORT", help="An IPv6 address stands in brackets."),
    click.option("--cert", "certificate", required=True, type=_FILE, help="What we show."),
    click.option("--key", required=True, type=_FILE, help="Its key."),
    click.option("--client-ca", required=True, type=_FILE, help="Who scrapes shows a certificate of this CA."),
    click.option("--fleet", "fleet_file", type=_FILE, help="Instead of $OPS_FLEET or /etc/ops/fleet.toml."),
)


def listening(command: Command) -> Command:
    """The options that every exporter has."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(
    cls=LazyGroup,
    elsewhere={
        "host": "ops.cli.exporter_host.host",
        "fleet": "ops.cli.exporter_fleet.fleet",
        "metrics": "ops.cli.exporter_fleet.metrics",
    },
)
def exporter() -> None:
    """What only we know, for Prometheus: of a database host, and of the whole fleet with its status page.

    /metrics is for who shows a certificate of the client CA; /healthz and /readyz tell anybody how it is.
    """


@exporter.command()
@click.argument("user")
@click.password_option(help="Asked for where it is not given on standard input.")
def login(user: str, password: str) -> None:
    """Print a line for the file of those who may see the status page (--login-file)."""
    if ":" in user:
        raise UsageError("the name of a user has no colon")
    click.echo(f"{user}:{logins.verifier(password, secrets.token_bytes(16))}")


def report(text: str) -> None:
    """A line for the journal."""
    click.echo(f"exporter: {text}", err=True)


def endpoint(listen: str, certificate: Path, key: Path, client_ca: Path, logins: Path | None = None) -> Endpoint:
    """Where to listen; UsageError for what is no ADDRESS:PORT."""
    address, _, port = listen.rpartition(":")
    if not address or not port.isdecimal():
        raise UsageError(f"--listen {listen}: that is no ADDRESS:PORT", hint="Such as 10.0.0.5:9630 or [::1]:9630.")
    return Endpoint(address.strip("[]"), int(port), certificate, key, client_ca, logins)


def serve(where: Endpoint, source: Exporter, page: Callable[[], str] | None = None) -> None:
    """Answer until SIGTERM or SIGINT."""
    stop = Stop()
    with Server(where, source, page, report) as server:
        threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
        source.start()
        report(f"listening on {where.address}:{server.server_address[1]}")
        stop.wait()
        server.shutdown()
        source.close()
