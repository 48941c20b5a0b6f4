"""A real server with `pend_production` made by its migrations, and databases like it for tests that spoil theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ops.database.migrations import Patience, migrate
from ops.database.target import Target, given
from ops.postgres.connect import Connection

from .fix_postgres import OPS, Host, as_postgres

SQL = Path(__file__).parents[2] / "sql" / "app"
TEMPLATE = "pend_template"
_number = count(1)


def bench_command(server: Host, *options: str) -> list[str]:
    """The command line of a load benchmark on `server`, as its superuser."""
    uri = f"postgresql://postgres@/postgres?host={server.base}&port={server.port}"
    return as_postgres([OPS, "db", "bench", f"--server={uri}", f"--folder={SQL}", *options])


def quiet(_text: str) -> None:
    """For what is said meanwhile."""


def number(of: int) -> UUID:
    """A key that is the same in every run."""
    return UUID(int=of)


def address(of: int) -> str:
    """A wallet or a contract."""
    return f"0x{of:040x}"


@dataclass(frozen=True)
class Databases:
    """A server with migrated databases."""

    host: Host

    def target(self, name: str, folder: Path = SQL) -> Target:
        return given(f"postgresql://postgres@/{name}?host={self.host.base}&port={self.host.port}", folder)

    def empty(self, folder: Path = SQL) -> Target:
        """A new database without anything in it."""
        name = f"empty_{next(_number)}"
        self.host.sql(f"CREATE DATABASE {name}")
        return self.target(name, folder)

    def migrated(self) -> Target:
        """A new database that all migrations were applied to."""
        name = f"app_{next(_number)}"
        self.host.sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self.target(name)


@contextmanager
def acting(connection: Connection, role: str, user: object = None, **settings: object) -> Iterator[None]:
    """A transaction as `role`, for a user (`app.current_user_id`); rolled back in the end."""
    with connection.transaction(force_rollback=True):
        given_settings = {"current_user_id": user, **settings}
        for name, value in given_settings.items():
            if value is not None:
                connection.execute("SELECT set_config(%s, %s, true)", [f"app.{name}", str(value)])
        connection.execute(psycopg.sql.SQL("SET LOCAL ROLE {}").format(psycopg.sql.Identifier(role)))
        yield


def value(connection: Connection, query: str, *arguments: Any) -> Any:
    """The one value that a query returns."""
    row = connection.execute(query.encode(), arguments or None).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture(scope="module")
def databases(module_hosts: Callable[[str], Host]) -> Databases:
    host = module_hosts("app")
    host.initdb()
    host.configure(max_connections=60)
    host.start()
    found = Databases(host)
    host.sql(f"CREATE DATABASE {TEMPLATE}")
    migrate(found.target(TEMPLATE), Patience(), quiet)
    return found


# A row or two in every table: what has key {1} is user 1's, what has {2} is user 2's. In the order of their references.
ROWS: dict[str, str] = {
    "users": """INSERT INTO users (id, phone_hash, blockchain_address) VALUES
        ({1}, 'hash 1', '0x01'), ({2}, 'hash 2', '0x02')""",
    "user_profiles": """INSERT INTO user_profiles (user_id, phone_number_masked) VALUES
        ({1}, '+20***1'), ({2}, '+20***2')""",
    "admin_users": """INSERT INTO admin_users (id, email, name, role, password_hash) VALUES
        ({1}, 'a@example.org', 'A', 'super_admin', '$2b$secret')""",
    "admin_sessions": """INSERT INTO admin_sessions (id, admin_id, session_token, expires_at) VALUES
        ({1}, {1}, 'token of a session', now())""",
    "admin_permissions": """INSERT INTO admin_permissions (id, role, resource, action) VALUES
        ({1}, 'viewer', '*', 'read')""",
    "admin_logs": "INSERT INTO admin_logs (id, admin_id, action) VALUES ({1}, {1}, 'LOGIN')",
    "kyc_applications": "INSERT INTO kyc_applications (id, user_id) VALUES ({1}, {1}), ({2}, {2})",
    "kyc_documents": """INSERT INTO kyc_documents (id, application_id, document_type) VALUES
        ({1}, {1}, 'id'), ({2}, {2}, 'passport')""",
    "assets": """INSERT INTO assets (id, contract_address, type, title, category) VALUES
        ({1}, '0x11', 'investment', 'Villa by the sea', 'houses'), ({2}, '0x12', 'interest', 'Farm', 'land')""",
    "asset_details": """INSERT INTO asset_details (asset_id, max_supply, token_price) VALUES
        ({1}, 1000, 2.5), ({2}, 10, 0)""",
    "asset_metrics": "INSERT INTO asset_metrics (asset_id, total_invested) VALUES ({1}, 500), ({2}, 0)",
    "investments": """INSERT INTO investments (id, user_id, asset_id, amount, currency, status) VALUES
        ({1}, {1}, {1}, 300.000001, 'USD', 'confirmed'), ({2}, {2}, {1}, 200, 'USD', 'confirmed')""",
    "transactions": """INSERT INTO transactions (id, user_id, type, amount, currency) VALUES
        ({1}, {1}, 'deposit', 5, 'USD'), ({2}, {2}, 'deposit', 6, 'USD')""",
    "investment_agreements": """INSERT INTO investment_agreements (id, user_id, asset_id, agreement_hash) VALUES
        ({1}, {1}, {1}, '0xa'), ({2}, {2}, {1}, '0xa')""",
    "blockchain_blocks": "INSERT INTO blockchain_blocks (number, hash) VALUES (1, '0xb1'), (2, '0xb2')",
    "blockchain_transactions": """INSERT INTO blockchain_transactions (id, hash, block_number) VALUES
        ({1}, '0xt1', 1), ({2}, '0xt2', 2)""",
    "blockchain_events": """INSERT INTO blockchain_events
        (id, contract_address, event_type, transaction_hash, log_index, block_number) VALUES
        ({1}, '0x11', 'Invested', '0xt1', 0, 1), ({2}, '0x11', 'Invested', '0xt2', 0, 2)""",
    "contract_interactions": """INSERT INTO contract_interactions (id, contract_address, function_name, user_id) VALUES
        ({1}, '0x11', 'invest', {1}), ({2}, '0x11', 'invest', {2})""",
    "user_analytics": """INSERT INTO user_analytics (id, user_id, event_type) VALUES
        ({1}, {1}, 'seen'), ({2}, {2}, 'seen')""",
    "system_metrics": "INSERT INTO system_metrics (id, metric_type, metric_value) VALUES ({1}, 'load', 1)",
    "system_logs": "INSERT INTO system_logs (id, level, source, message) VALUES ({1}, 'info', 'api', 'started')",
    "api_usage_logs": """INSERT INTO api_usage_logs (id, endpoint, method, status_code) VALUES
        ({1}, '/users', 'GET', 200)""",
}
_KEYS = {"1": f"'{number(1)}'", "2": f"'{number(2)}'"}


def statement(text: str) -> bytes:
    """SQL with {1} and {2} for the keys of what belongs to users 1 and 2."""
    for key, literal in _KEYS.items():
        text = text.replace(f"{{{key}}}", literal)
    return text.encode()


def fill(connection: Connection) -> None:
    """Rows in every table that is there and has none yet."""
    for table, text in ROWS.items():
        if value(connection, "SELECT to_regclass('public.' || %s)", table) is None:
            continue
        if not value(connection, f"SELECT EXISTS (SELECT FROM public.{table})"):
            connection.execute(statement(text))
