"""What a machine lacks is said at once, each with the way to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.lab.paths import Lab
from ops.lab.preflight import DISK_NEEDED, NO_UPPER, Facts, filesystem_of, missing

LAB = Lab()
HOSTS = 11


def test_a_complete_machine_lacks_nothing() -> None:
    assert missing(Facts(), LAB, HOSTS, new_hosts=True) == []


@pytest.mark.parametrize(
    ("facts", "what", "how"),
    [
        (Facts(root=False), "root", "sudo"),
        (Facts(programs_missing=("nft", "systemd-nspawn")), "nft, systemd-nspawn", "nftables systemd-container"),
        (Facts(keyring=False), "debian-archive-keyring.gpg", "apt-get install debian-archive-keyring"),
        (Facts(devices_missing=("/dev/ptmx",)), "/dev/ptmx", "container"),
        (Facts(namespaces=False), "namespaces", "--privileged"),
        (Facts(overlayfs=False), "overlayfs", "modprobe overlay"),
        (Facts(bridge=False), "bridges", "modprobe bridge"),
        (Facts(veth=False), "virtual Ethernet", "modprobe veth"),
        (Facts(nft=False), "nftables", "modprobe nft_masq"),
        (Facts(cgroups_writable=False), "cgroup", "mount -t cgroup"),
        (Facts(inotify_instances=76), "76 a user, 77 needed", "sysctl fs.inotify.max_user_instances=77"),
        (Facts(filesystem="overlay"), "cannot write on overlay", "mount a disk"),
        (Facts(disk_free=DISK_NEEDED - 1), "8.0 GiB free", "free some"),
        (Facts(overlapping_routes=("10.0.0.0/8 on eth0",)), "10.0.0.0/8 on eth0", "OPS_LAB_SUBNET"),
    ],
)
def test_each_lack_is_named_with_its_remedy(facts: Facts, what: str, how: str) -> None:
    (gap,) = missing(facts, LAB, HOSTS, new_hosts=True)
    assert what in gap.what
    assert how in gap.how


def test_all_lacks_are_named_at_once() -> None:
    facts = Facts(programs_missing=("debootstrap",), overlayfs=False, bridge=False, disk_free=0)
    assert len(missing(facts, LAB, HOSTS, new_hosts=True)) == 4


def test_without_root_nothing_else_is_claimed() -> None:
    assert len(missing(Facts(root=False, overlayfs=False), LAB, HOSTS, new_hosts=True)) == 1


def test_a_missing_nft_is_one_lack_not_two() -> None:
    assert len(missing(Facts(programs_missing=("nft",), nft=False), LAB, HOSTS, new_hosts=True)) == 1


def test_a_full_disk_does_not_stop_a_lab_that_needs_no_new_hosts() -> None:
    assert missing(Facts(disk_free=0), LAB, HOSTS, new_hosts=False) == []


def test_the_file_system_of_the_nearest_mount_counts() -> None:
    mountinfo = "1 0 8:1 / / rw - overlay overlay rw\n2 1 8:2 / /var/lib rw shared:1 - ext4 /dev/vdb rw\n"
    assert filesystem_of(Path("/var/lib/ops-lab"), mountinfo) == "ext4"
    assert filesystem_of(Path("/var/library"), mountinfo) in NO_UPPER
