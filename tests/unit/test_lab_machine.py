"""What is ours on a machine that runs other things too: processes, mounts, cgroups, routes; and the lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.lab import cgroups, disk, inventory, machine, mounts, network, ssh
from ops.lab.lock import exclusive
from ops.lab.paths import Lab

LAB = Lab()
HOSTS = inventory.assign(LAB, {"pg": ("pg1", "pg2")})


def test_a_host_is_recognised_by_its_command_line() -> None:
    assert machine.host_of(LAB, machine.nspawn(LAB, "pg1")) == "pg1"
    assert machine.host_of(LAB, ["/usr/bin/systemd-nspawn", "--directory=/var/lib/ops-lab/hosts/pg2/root"]) == "pg2"


@pytest.mark.parametrize(
    "cmdline",
    [
        [],
        ["systemd-nspawn"],
        ["systemd-nspawn", "--directory=/var/lib/machines/pg1/root"],
        ["systemd-nspawn", "--directory=/var/lib/ops-lab-2/hosts/pg1/root"],
        ["systemd-nspawn", "--directory=/var/lib/ops-lab/hosts"],
        ["vim", "--directory=/var/lib/ops-lab/hosts/pg1/root"],
        ["sh", "-c", "systemd-nspawn --directory=/var/lib/ops-lab/hosts/pg1/root"],
    ],
)
def test_processes_of_others_are_never_taken_for_hosts(cmdline: list[str]) -> None:
    assert machine.host_of(LAB, cmdline) is None


def test_mounts_below_a_directory_are_listed_deepest_first() -> None:
    mountinfo = (
        "1 0 8:1 / / rw - ext4 /dev/vda rw\n"
        "2 1 0:50 / /var/lib/ops-lab/hosts/pg1/root rw - overlay overlay rw\n"
        "3 2 0:51 / /var/lib/ops-lab/hosts/pg1/root/with\\040blank rw - tmpfs tmpfs rw\n"
        "4 1 0:52 / /var/lib/ops-lab-2/hosts/pg1/root rw - overlay overlay rw\n"
    )
    assert mounts.below(Path("/var/lib/ops-lab"), mountinfo) == [
        Path("/var/lib/ops-lab/hosts/pg1/root/with blank"),
        Path("/var/lib/ops-lab/hosts/pg1/root"),
    ]


def test_processes_are_tracked_in_the_hierarchies_that_hosts_may_write() -> None:
    v1 = (
        "30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
        "31 30 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
        "32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
        "33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    )
    assert cgroups.hierarchies(v1) == (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
    assert cgroups.hierarchies("30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n") == (Path("/sys/fs/cgroup"),)
    assert cgroups.hierarchies("1 0 8:1 / / rw - ext4 /dev/vda rw\n") == ()


def test_routes_of_others_that_overlap_are_named() -> None:
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "10.0.0.0/8", "dev": "tun0"},
        {"dst": "10.213.7.99", "dev": "wg0"},
        {"dst": "10.213.7.0/24", "dev": "opslab0"},
    ]
    assert network.overlapping(LAB, routes) == ["10.0.0.0/8 on tun0", "10.213.7.99/32 on wg0"]


def test_strict_host_key_checking_with_every_name_of_a_host() -> None:
    config = ssh.config(LAB, HOSTS)
    assert "Host pg1\n    HostName 10.213.7.11\n" in config
    assert "StrictHostKeyChecking yes" in config
    known = ssh.known_hosts(dict.fromkeys(HOSTS, "ssh-ed25519 AAAA root@x\n"))
    assert known.splitlines()[0] == "pg1,10.213.7.11 ssh-ed25519 AAAA"


def test_a_second_command_is_told_who_holds_the_lab(tmp_path: Path) -> None:
    lab = Lab(var=tmp_path)
    with exclusive(lab, "ops lab up"):
        with pytest.raises(OpsError) as caught, exclusive(lab, "ops lab down"):
            pass
        assert "ops lab up (pid" in (caught.value.detail or "")
    with exclusive(lab, "ops lab down"):
        lab.lock.unlink()  # as `down` does
        with exclusive(lab, "ops lab up"):
            assert lab.lock.exists()


def test_a_half_made_disk_is_no_disk_and_an_unreadable_record_is_named(tmp_path: Path) -> None:
    lab = Lab(var=tmp_path)
    (lab.hosts / f"{disk.PARTIAL}pg1").mkdir(parents=True)
    assert disk.existing(lab) == {}
    record = lab.hosts / "pg2" / disk.RECORD
    record.parent.mkdir()
    record.write_text(json.dumps({"address": "10.213.7.12", "lower": ["/a", "/b"]}))
    assert disk.existing(lab)["pg2"].lower == (Path("/a"), Path("/b"))
    record.write_text("")
    with pytest.raises(OpsError, match="the disk of pg2 has no readable record"):
        disk.existing(lab)
