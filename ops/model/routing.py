"""How a client reaches a database through the routers: the strings that the README shows and the lab's tests use.

What they have in common: the server is verified, and a connection to a host that is gone is given up within seconds
instead of the quarter of an hour that TCP would take.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote, urlencode

# Seconds, except where the name that a client library gives it says otherwise.
CONNECT_TIMEOUT = 3  # to each router; then libpq tries the next
DEAD_AFTER = 10  # a request is sent, and nobody confirms to have received it
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 10, 5, 2  # nothing is sent: ask whether the other end is there
QUERY_TIMEOUT = 30


@dataclass(frozen=True)
class Route:
    """To `database` as `user`, through any of `routers`. `ca_file` is the site's CA on the client's host.

    `name` is for clients that take only one: a name that all routers share, or else the first of them. The password
    is in none of the strings: libpq takes it from ~/.pgpass or PGPASSWORD, and so does node-postgres.
    """

    routers: tuple[str, ...]
    name: str
    port: int
    database: str
    user: str
    ca_file: str

    def parameters(self) -> dict[str, str | int]:
        """What libpq is told beside where and as whom."""
        return {
            "sslmode": "verify-full",
            "sslrootcert": self.ca_file,
            "connect_timeout": CONNECT_TIMEOUT,
            "tcp_user_timeout": DEAD_AFTER * 1000,
            "keepalives_idle": KEEPALIVE_IDLE,
            "keepalives_interval": KEEPALIVE_INTERVAL,
            "keepalives_count": KEEPALIVE_COUNT,
        }


def keywords(route: Route) -> str:
    """For libpq and all that is built on it, such as psql and psycopg: keywords and values."""
    where: dict[str, str | int] = {
        "host": ",".join(route.routers),
        "port": route.port,
        "dbname": route.database,
        "user": route.user,
    }
    return " ".join(f"{name}={_quoted(value)}" for name, value in (where | route.parameters()).items())


def uri(route: Route) -> str:
    """The same as a URI."""
    hosts = ",".join(f"{router}:{route.port}" for router in route.routers)
    options = urlencode(route.parameters(), safe="/")
    return f"postgresql://{quote(route.user)}@{hosts}/{quote(route.database)}?{options}"


def psycopg(route: Route) -> str:
    """For psycopg 3. PgBouncer 1.18 hands each transaction to any session, and prepared statements stay in theirs."""
    return f'psycopg.connect("{keywords(route)}", prepare_threshold=None)'


def node_postgres(route: Route) -> str:
    """For node-postgres. It knows neither a list of hosts nor tcp_user_timeout, so that each query has a limit."""
    return f"""\
new Pool({{
  host: {json.dumps(route.name)},
  port: {route.port},
  database: {json.dumps(route.database)},
  user: {json.dumps(route.user)},
  ssl: {{ ca: fs.readFileSync({json.dumps(route.ca_file)}, "utf8"), minVersion: "TLSv1.3" }},
  connectionTimeoutMillis: {CONNECT_TIMEOUT * 1000},
  query_timeout: {QUERY_TIMEOUT * 1000},
  keepAlive: true,
  keepAliveInitialDelayMillis: {KEEPALIVE_IDLE * 1000},
}})"""


def _quoted(value: str | int) -> str:
    """As libpq reads it: quotes around what has blanks or quotes in it."""
    text = str(value)
    if text and not set(text) & set(" '\\"):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
