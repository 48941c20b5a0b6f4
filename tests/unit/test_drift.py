"""What is wrong with a unit that a deploy of ours runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.model.drift import Unit, of_pooler, of_servers, of_unit

OURS = frozenset({"/etc/systemd/system/etcd.service.d/pend-ops.conf", "/etc/systemd/system/patroni.service"})
GOOD = Unit(
    name="etcd.service",
    active="active",
    enabled="enabled",
    fragment="/lib/systemd/system/etcd.service",
    needs_reload=False,
    drop_ins=("/etc/systemd/system/etcd.service.d/pend-ops.conf",),
)


def words(unit: Unit) -> list[str]:
    return [what for what, _ in of_unit(unit, OURS)]


def test_a_unit_that_runs_as_our_files_say_is_no_drift() -> None:
    assert of_unit(GOOD, OURS) == []
    assert of_unit(replace(GOOD, name="patroni.service", fragment="/etc/systemd/system/patroni.service"), OURS) == []


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (replace(GOOD, active="inactive"), "etcd.service is stopped"),
        (replace(GOOD, active="failed"), "etcd.service is failed"),
        (replace(GOOD, active="activating"), "etcd.service is starting, again and again"),
        (replace(GOOD, enabled="disabled"), "etcd.service is disabled, so not started at boot"),
        (replace(GOOD, active="inactive", enabled="", fragment=""), "etcd.service is not installed"),
        (replace(GOOD, enabled="masked", fragment="/etc/systemd/system/etcd.service"), "etcd.service is masked"),
        (replace(GOOD, needs_reload=True), "etcd.service has newer unit files than systemd has read"),
        (
            replace(GOOD, fragment="/etc/systemd/system/etcd.service"),
            "etcd.service is replaced by /etc/systemd/system/etcd.service",
        ),
        (
            replace(GOOD, drop_ins=(*GOOD.drop_ins, "/run/systemd/system/etcd.service.d/x.conf"), needs_reload=True),
            "etcd.service is changed by /run/systemd/system/etcd.service.d/x.conf",
        ),
    ],
)
def test_each_fault_is_told_once(unit: Unit, expected: str) -> None:
    assert words(unit) == [expected]


def test_a_masked_unit_that_is_stopped_is_one_fault_and_unmasking_comes_before_the_deploy() -> None:
    ((what, mend),) = of_unit(replace(GOOD, enabled="masked", active="inactive"), OURS)
    assert what == "etcd.service is stopped and masked"
    assert mend == "systemctl unmask etcd.service, then deploy"


def test_a_file_of_a_stranger_is_mended_by_removing_it() -> None:
    ((_, mend),) = of_unit(replace(GOOD, drop_ins=("/etc/systemd/system/etcd.service.d/own.conf",)), OURS)
    assert mend == (
        "rm /etc/systemd/system/etcd.service.d/own.conf && systemctl daemon-reload && systemctl restart etcd.service"
    )


SERVERS = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_check_state
4 reads 1 pg1 10.0.0.11 2 {admin} {weight} 1 {checks}
"""


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, []),
        ({"admin": 1}, ["HAProxy: server reads/pg1 is in maintenance"]),
        ({"admin": 8}, ["HAProxy: server reads/pg1 is drained"]),
        ({"weight": 5}, ["HAProxy: server reads/pg1 has weight 5, not 1"]),
        ({"checks": 1}, ["HAProxy: server reads/pg1 is not checked"]),
        ({"admin": 32, "checks": 0}, []),  # a name that does not resolve, and a server without checks: not told by hand
    ],
)
def test_what_haproxy_was_told_is_found(told: dict[str, int], expected: list[str]) -> None:
    state = SERVERS.format(**({"admin": 0, "weight": 1, "checks": 6} | told)).splitlines()
    assert [what for what, _ in of_servers(state)] == expected


FILES = [
    "[databases]",
    "app = host=10.0.0.11",
    "[pgbouncer]",
    "; how many",
    "pool_mode = transaction",
    "min_pool_size = 2",
]


def pooler(settings: list[list[str]], databases: list[list[str]]) -> list[str]:
    return [what for what, _ in of_pooler(FILES, settings, databases)]


def test_a_pooler_that_runs_as_its_files_say_is_no_drift() -> None:
    defaults = [["pool_mode", "transaction", "session", "yes"], ["verbose", "0", "", "yes"], ["app", "x", "", "yes"]]
    assert pooler(defaults, [["app", "10.0.0.11", "0", "0"]]) == []


def test_what_was_set_or_paused_on_the_pooler_s_console_is_found() -> None:
    found = pooler([["min_pool_size", "9", "0", "yes"]], [["app", "10.0.0.11", "1", "0"], ["web", "h", "0", "1"]])
    assert found == [
        "PgBouncer: min_pool_size is 9, not 2",
        "PgBouncer: database app is paused",
        "PgBouncer: database web is disabled",
    ]
