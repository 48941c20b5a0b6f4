"""What the base image is made from, and when one that exists will do; the shared package archive."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from ops.lab import debs, disk, image
from ops.lab.image import Recipe, Source
from ops.lab.paths import Lab

MAIN = Source("http://mirror.test/debian/", "bookworm", "main")
SECURITY = Source("http://mirror.test/security/", "bookworm-security", "main")
RECIPE = Recipe("bookworm", (SECURITY, MAIN), "", {})
TODAY = date(2026, 11, 21)


def test_only_debian_archives_that_hosts_can_reach_are_taken() -> None:
    listed = (
        "Debian|http://mirror.test/debian/|bookworm|main\n"
        "Debian|http://mirror.test/debian/|bookworm|main\n"
        "Node Source|https://node.test/|nodistro|main\n"
        "Debian|file:/srv/mirror/|bookworm|contrib\n"
        "Debian|http://mirror.test/security/|bookworm-security|main\n"
    )
    assert image.debian_sources(listed) == (MAIN, SECURITY)


def test_hosts_reach_debian_as_this_machine_does() -> None:
    dump = (
        'Acquire::Check-Valid-Until "false";\nAcquire::http::Proxy "";\nAcquire::https::Proxy "http://p:3128";\n'
        'DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";\nAcquire::http::Proxy::host "DIRECT";\n'
    )
    assert image.apt_conf(dump) == 'Acquire::Check-Valid-Until "false";\nAcquire::https::Proxy "http://p:3128";\n'


def test_the_bootstrap_mirror_is_the_main_archive_of_the_suite() -> None:
    assert RECIPE.mirror == MAIN.uri
    assert RECIPE.sources_list.splitlines()[1] == "deb http://mirror.test/debian/ bookworm main"


@pytest.mark.parametrize(
    "changed",
    [
        replace(RECIPE, packages=("vim",)),
        replace(RECIPE, masked_generators=()),
        replace(RECIPE, sources=(MAIN,)),
        replace(RECIPE, certificates={"ca.crt": "x"}),
        replace(RECIPE, apt_conf="x"),
        replace(RECIPE, suite="trixie"),
    ],
)
def test_a_changed_recipe_finds_no_image(changed: Recipe) -> None:
    name = f"{RECIPE.digest}-20261121"
    assert image.usable([name], RECIPE.digest, TODAY) == name
    assert image.usable([name], changed.digest, TODAY) is None


def test_an_image_is_used_for_a_week_and_the_newest_is_preferred() -> None:
    names = [f"{RECIPE.digest}-20261113", f"{RECIPE.digest}-20261114", f"{RECIPE.digest}-20261116", "building"]
    assert image.usable(names, RECIPE.digest, TODAY) == names[2]
    assert image.usable(names[:2], RECIPE.digest, TODAY) == names[1]
    assert image.usable(names[:1], RECIPE.digest, TODAY) is None


def download(upper: Path, name: str, content: bytes = debs.MAGIC + b"...") -> None:
    directory = upper / debs.IN_ROOT
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(content)


def packages(layer: Path) -> set[str]:
    return {path.name for path in (layer / debs.IN_ROOT).iterdir()}


def test_packages_of_all_hosts_are_collected_into_a_new_layer(tmp_path: Path) -> None:
    lab = Lab(var=tmp_path)
    download(tmp_path / "h1", "a.deb")
    download(tmp_path / "h2", "b.deb")
    first = debs.newest(lab)
    assert debs.collect(lab, [tmp_path / "h1", tmp_path / "h2", tmp_path / "none"]) == 2
    second = debs.newest(lab)
    assert packages(first) == set(), "a layer below a mounted disk never changes"
    assert packages(second) == {"a.deb", "b.deb"}
    download(tmp_path / "h1", "c.deb")
    assert debs.collect(lab, [tmp_path / "h1"]) == 1
    assert packages(debs.newest(lab)) == {"a.deb", "b.deb", "c.deb"}


def test_nothing_new_makes_no_new_layer(tmp_path: Path) -> None:
    lab = Lab(var=tmp_path)
    download(tmp_path / "h1", "a.deb")
    debs.collect(lab, [tmp_path / "h1"])
    before = debs.newest(lab)
    assert debs.collect(lab, [tmp_path / "h1"]) == 0
    assert debs.newest(lab) == before


def test_a_file_that_a_power_cut_emptied_is_not_collected(tmp_path: Path) -> None:
    lab = Lab(var=tmp_path)
    download(tmp_path / "h1", "empty.deb", b"")
    download(tmp_path / "h1", "zeros.deb", bytes(100))
    assert debs.collect(lab, [tmp_path / "h1"]) == 0


def test_a_layer_that_a_killed_run_left_unfinished_is_not_used(tmp_path: Path) -> None:
    lab = Lab(var=tmp_path)
    download(lab.archives / debs.UNFINISHED, "half.deb")
    download(tmp_path / "h1", "a.deb")
    debs.collect(lab, [tmp_path / "h1"])
    assert packages(debs.newest(lab)) == {"a.deb"}


def test_layers_are_kept_while_a_disk_lies_on_them(tmp_path: Path) -> None:
    lab = Lab(var=tmp_path)
    first = debs.newest(lab)
    for name in ("a.deb", "b.deb"):
        download(tmp_path / "h1", name)
        debs.collect(lab, [tmp_path / "h1"])
    debs.remove_unused(lab, {first})
    assert {path.name for path in lab.archives.iterdir()} == {"0", "2"}
    debs.remove_unused(lab, set())
    assert {path.name for path in lab.archives.iterdir()} == {"2"}


def test_a_resolver_on_loopback_is_not_given_to_hosts(tmp_path: Path) -> None:
    stub, upstream = tmp_path / "stub", tmp_path / "upstream"
    stub.write_text("nameserver 127.0.0.53\n")
    upstream.write_text("nameserver 192.0.2.53\n")
    assert disk.resolver(stub, upstream) == "nameserver 192.0.2.53\n"
    assert disk.resolver(upstream, stub) == "nameserver 192.0.2.53\n"
    assert disk.resolver(stub, tmp_path / "none") == ""
