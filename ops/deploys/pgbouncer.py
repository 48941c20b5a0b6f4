"""PgBouncer on every PostgreSQL host: transaction pooling in front of the server beside it.

It looks up the verifiers of applications with `pooler.verifier` (the extension pend_pooler), as the role `pgbouncer`,
which logs in with a certificate. HAProxy passes TLS through, so that the certificate shown here is what clients check
against the name of the router that they asked for.
"""

from __future__ import annotations

from ops.deploys.base import CA_FILE
from ops.deploys.operations import account, config_file, current, directory, secret_file, service
from ops.deploys.pki import Leaf
from ops.deploys.site import Host, section

USER = "pgbouncer"  # on the host, and in the database
ROLE = {"login": True, "createdb": False, "member_of": [], "connection_limit": -1}  # without a password
CONSOLE = "postgres"  # who may use the console, through the socket
MONITOR = "monitor"  # who may look at its figures on the console, by certificate
SOCKET_DIR = "/run/pgbouncer"
UNIT = "pgbouncer.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/pend-ops.conf"
FOLDER = "/etc/pgbouncer"
LISTEN, SETTINGS = f"{FOLDER}/listen.ini", f"{FOLDER}/pgbouncer.ini"
HBA, USERS = f"{FOLDER}/hba.conf", f"{FOLDER}/userlist.txt"
CERTIFICATE, KEY = "/etc/ops/pki/pgbouncer.crt", "/etc/ops/pki/pgbouncer.key"


@section("PgBouncer")
def pgbouncer(this: Host) -> None:
    """One pooler on each member of a cluster, whether it leads or follows."""
    if this.cluster is None:
        return
    postgres, pooler = this.postgres, this.inventory.pooler(this.cluster)
    account(name=f"Make the user {USER}", user=USER)
    material = this.issue(leaf(this))
    config_file("base/certificate.crt.j2", CERTIFICATE, certificate=material.certificate)
    secret_file(name=f"Write {KEY}", dest=KEY, content=lambda: material.key, user=USER)
    config_file("pgbouncer/listen.ini.j2", LISTEN, address=this.address, pooler=pooler, socket_dir=SOCKET_DIR)
    config_file("pgbouncer/userlist.txt.j2", USERS, console=CONSOLE, monitor=MONITOR)
    config_file(
        "pgbouncer/hba.conf.j2",
        HBA,
        console=CONSOLE,
        monitor=MONITOR,
        address=str(this.address),
        networks=this.inventory.site.networks,
        databases=list(postgres.databases),
        roles=[name for name, role in postgres.roles.items() if role.login],
    )
    config_file(
        "pgbouncer/pgbouncer.ini.j2",
        SETTINGS,
        listen=LISTEN,
        databases=list(postgres.databases),
        address=this.address,
        port=postgres.port,
        hba=HBA,
        users=USERS,
        account=USER,
        console=CONSOLE,
        monitor=MONITOR,
        certificate=CERTIFICATE,
        key=KEY,
        ca=CA_FILE,
        pooler=pooler,
    )
    directory(f"/etc/systemd/system/{UNIT}.d")
    # A connection from each client, one to the server for each that works, and some for itself.
    config_file("pgbouncer/pgbouncer.service.conf.j2", DROP_IN, account=USER, files=2 * pooler.max_clients + 1000)
    # A restart cuts every client off, so it is left to what cannot be had otherwise; certificates are read by a reload.
    service(UNIT, LISTEN, DROP_IN)
    current(
        name=f"Reload {UNIT} where its files changed",
        unit=UNIT,
        files=(SETTINGS, HBA, USERS, CERTIFICATE, KEY),
        verb="reload",
        _serial=True,
    )


def leaf(this: Host) -> Leaf:
    """For both of its sides. As a server it goes by every name under which a client may have come to it."""
    routers = this.inventory.groups.get("router", ())
    return Leaf(
        name=f"{this.name}-pgbouncer",
        common_name=USER,
        dns=tuple(dict.fromkeys((this.name, *routers, *this.inventory.router().names))),
        addresses=(str(this.address),),
        server=True,
        client=True,
    )
