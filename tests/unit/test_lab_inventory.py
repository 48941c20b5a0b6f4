"""Which hosts the lab inventory names, and what is said about one that makes no sense."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from ops.errors import UsageError
from ops.lab import inventory, paths
from ops.lab.paths import Lab

LAB = Lab()


def write(directory: Path, text: str) -> Path:
    path = directory / "hosts.py"
    path.write_text(text)
    return path


def test_hosts_get_addresses_in_order_of_first_appearance(tmp_path: Path) -> None:
    path = write(tmp_path, 'etcd = ["pg1", "pg2"]\npg_main = ["pg2", "pg1", "pg3"]\nobject_store = ["s3"]\n')
    hosts = inventory.read(LAB, path)
    assert [(host.name, str(host.address)) for host in hosts] == [
        ("pg1", "10.213.7.11"),
        ("pg2", "10.213.7.12"),
        ("pg3", "10.213.7.13"),
        ("s3", "10.213.7.14"),
    ]
    assert hosts[0].groups == ("etcd", "pg_main")


def test_groups_and_hosts_with_data_are_read_as_pyinfra_reads_them(tmp_path: Path) -> None:
    path = write(tmp_path, 'etcd = (["pg1", ("pg2", {"a": 1})], {"b": 2})\n_hidden = ["no"]\nversion = 15\n')
    assert [host.name for host in inventory.read(LAB, path)] == ["pg1", "pg2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no host"),
        ("etcd = [1]", "holds 1"),
        ('etcd = ["a_b"]', "'a_b'"),
        ('etcd = ["thirteenchars"]', "'thirteenchars'"),
        ("etcd = [", "cannot be read"),
        ("raise KeyError('x')", "cannot be read"),
    ],
)
def test_an_inventory_that_makes_no_sense_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        inventory.read(LAB, write(tmp_path, text))
    assert says in caught.value.message


def test_a_missing_inventory_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no lab inventory at"):
        inventory.read(LAB, tmp_path / "none.py")


def test_more_hosts_than_addresses_are_refused() -> None:
    small = Lab(subnet=IPv4Network("10.0.0.0/28"))
    assert len(inventory.assign(small, {"a": ("h1", "h2", "h3", "h4")})) == 4
    with pytest.raises(UsageError, match="room for 4"):
        inventory.assign(small, {"a": ("h1", "h2", "h3", "h4", "h5")})


def test_an_unknown_host_name_gets_the_nearest_valid_one() -> None:
    hosts = inventory.assign(LAB, {"pg": ("pg1", "drill1")})
    assert inventory.find(hosts, "pg1") is hosts[0]
    with pytest.raises(UsageError) as caught:
        inventory.find(hosts, "dril1")
    assert caught.value.hint == "did you mean 'drill1'?"


def test_every_host_knows_the_others() -> None:
    text = inventory.etc_hosts(inventory.assign(LAB, {"pg": ("pg1", "pg2")}))
    assert "10.213.7.11 pg1\n10.213.7.12 pg2\n" in text


def test_the_lab_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_LAB_NAME", "lab-x")
    monkeypatch.setenv("OPS_LAB_SUBNET", "10.1.2.0/24")
    lab = paths.from_environment()
    assert (lab.bridge, lab.table, str(lab.gateway)) == ("labx0", "lab-x", "10.1.2.1")
    assert lab.state == Path("/var/lib/lab-x")


@pytest.mark.parametrize(("name", "value"), [("OPS_LAB_NAME", "../x"), ("OPS_LAB_NAME", "x"), ("OPS_LAB_SUBNET", "10")])
def test_a_lab_of_the_environment_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        paths.from_environment()
