"""The description of a backup: whole or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.backup import Backup
from ops.model.blocks import Run, count_blocks
from ops.model.lsn import LSN
from ops.model.manifest import Contents, Directory, File, Manifest, ManifestError
from ops.model.pack import PackRef

BLOCK = 8192
MOMENT = datetime(2026, 11, 21, 10, 59, 0, 123456, tzinfo=UTC)
BACKUP = Backup(
    id="20261121T105900Z",
    cluster="main",
    system_identifier=7710586371979590383,
    timeline=2,
    start_lsn=LSN.parse("0/6000028"),
    stop_lsn=LSN.parse("0/6000100"),
    start_time=MOMENT,
    stop_time=MOMENT,
    first_segment="000000020000000000000006",
    last_segment="000000020000000000000006",
    host="pg1",
    from_standby=True,
    postgres_version=150018,
    size=10,
    stored_bytes=8,
    new_bytes=8,
    block_size=BLOCK,
    packs=1,
    files=1,
    tablespaces={"16400": "/srv/ä\nspace"},
    settings={"max_connections": "100"},
)
MANIFEST = Manifest(BACKUP, "START WAL LOCATION: …\n", "16400 /srv/space\n", "00" * 32)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)


@st.composite
def contents(draw: st.DrawFn) -> Contents:
    packs = tuple(
        PackRef(f"{number:064x}", draw(st.integers(100, 10**9)), draw(st.integers(1, 50)), "ab" * 32)
        for number in range(draw(st.integers(1, 4)))
    )
    files = []
    for path in draw(st.lists(NAMES, max_size=8, unique=True)):
        size = draw(st.integers(0, 30 * BLOCK))
        runs = []
        for _ in range(count_blocks(size, BLOCK)):
            pack = draw(st.integers(0, len(packs) - 1))
            runs.append(Run(pack, draw(st.integers(0, packs[pack].blocks - 1)), 1))
        files.append(File(path, size, 0o600, draw(st.integers(0, 2**62)), tuple(runs)))
    directories = tuple(Directory(name, 0o700) for name in draw(st.lists(NAMES, max_size=4)))
    return Contents(packs, directories, tuple(files))


ONE = Contents(
    (PackRef("aa" * 32, 1000, 3, "bb" * 32),),
    (Directory("", 0o700), Directory("base", 0o700)),
    (File("base/1", 2 * BLOCK + 1, 0o600, 5, (Run(0, 0, 3),)), File("base/2", 0, 0o600, 5)),
)


def test_a_manifest_survives_storage() -> None:
    assert Manifest.decode(MANIFEST.encode()) == MANIFEST


def test_a_manifest_of_a_later_format_is_refused_by_name() -> None:
    document = json.loads(MANIFEST.encode()) | {"format": 2}
    with pytest.raises(ManifestError, match="format 2"):
        Manifest.decode(json.dumps(document).encode())


@pytest.mark.parametrize("key", ["id", "stop_lsn", "tablespaces"])
def test_a_manifest_without_a_field_is_refused(key: str) -> None:
    document = json.loads(MANIFEST.encode())
    del document["backup"][key]
    with pytest.raises(ManifestError):
        Manifest.decode(json.dumps(document).encode())


def test_fields_of_a_later_version_are_ignored() -> None:
    document = json.loads(MANIFEST.encode())
    document["backup"]["verified"] = True
    assert Manifest.decode(json.dumps(document).encode()) == MANIFEST


@given(contents())
def test_contents_survive_storage(value: Contents) -> None:
    assert Contents.decode(value.encode(), BLOCK) == value


def test_paths_that_are_no_utf_8_survive_storage() -> None:
    odd = replace(ONE, directories=(Directory("base/caf\udce9", 0o700),))
    assert Contents.decode(odd.encode(), BLOCK) == odd


@given(contents(), st.data())
def test_contents_that_are_cut_off_are_refused(value: Contents, data: st.DataObject) -> None:
    plain = value.encode()
    # Without its very last byte, a line feed, the text is still whole.
    with pytest.raises(ManifestError):
        Contents.decode(plain[: data.draw(st.integers(0, len(plain) - 2))], BLOCK)


def test_contents_that_lost_a_line_are_refused() -> None:
    lines = ONE.encode().splitlines()
    for number in range(len(lines)):
        with pytest.raises(ManifestError):
            Contents.decode(b"\n".join(lines[:number] + lines[number + 1 :]), BLOCK)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "base/../../x", "a\0b"])
def test_paths_that_lead_outside_are_refused(path: str) -> None:
    for value in (replace(ONE, directories=(Directory(path, 0o700),)), replace(ONE, files=(File(path, 0, 0o600, 5),))):
        with pytest.raises(ManifestError, match="outside"):
            Contents.decode(value.encode(), BLOCK)


@pytest.mark.parametrize("run", [Run(1, 0, 3), Run(0, 1, 3), Run(0, -1, 3), Run(-1, 0, 3), Run(0, 0, 2)])
def test_blocks_that_do_not_fit_are_refused(run: Run) -> None:
    value = replace(ONE, files=(replace(ONE.files[0], runs=(run,)),))
    with pytest.raises(ManifestError, match="blocks"):
        Contents.decode(value.encode(), BLOCK)
