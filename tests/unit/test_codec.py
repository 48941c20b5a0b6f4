"""Sealing and unsealing: an object is believed only when everything about it agrees."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ops.model.envelope import Header, decode, encode
from ops.store import codec
from ops.store.codec import Damaged, Foreign, peek, seal, unseal

PLAIN = b"WAL of ours " * 1000


def sealed(plain: bytes = PLAIN) -> bytes:
    return seal("wal", "name", 42, plain, level=1)


def opened(blob: bytes) -> bytes:
    return unseal(blob, kind="wal", name="name", system_identifier=42)


def with_header(blob: bytes, **changes: object) -> bytes:
    header, payload = decode(blob)
    return encode(dataclasses.replace(header, **changes), payload)  # type: ignore[arg-type]


@given(st.binary(max_size=5000), st.integers(1, 19))
def test_what_was_sealed_is_opened(plain: bytes, level: int) -> None:
    blob = seal("manifest", "any", 42, plain, level=level)
    assert unseal(blob, kind="manifest", name="any", system_identifier=42) == plain


def test_it_is_compressed_and_says_what_it_is() -> None:
    blob = sealed()
    assert len(blob) < len(PLAIN) / 10
    assert peek(blob[: codec.PEEK]) == Header("wal", "name", 42, len(PLAIN), hashlib.sha256(PLAIN).hexdigest())


def test_any_flipped_bit_is_noticed() -> None:
    blob = sealed()
    for position in range(len(blob)):
        for bit in (0, 7):
            damaged = bytearray(blob)
            damaged[position] ^= 1 << bit
            try:
                plain = opened(bytes(damaged))
            except (Damaged, Foreign):
                continue
            assert plain == PLAIN, f"bit {bit} of byte {position}"  # a checksum of zstd's own that is not read


def test_any_cut_is_noticed() -> None:
    blob = sealed()
    for length in range(len(blob)):
        with pytest.raises(Damaged):
            opened(blob[:length])


def test_bytes_after_the_end_are_noticed() -> None:
    with pytest.raises(Damaged):
        opened(sealed() + b"!")
    with pytest.raises(Damaged):
        opened(sealed() + sealed())


def test_another_object_than_the_one_asked_for_is_refused() -> None:
    for changes in ({"name": "other"}, {"kind": "manifest"}):
        with pytest.raises(Damaged, match="name"):
            opened(with_header(sealed(), **changes))


def test_an_object_of_another_cluster_is_foreign_unless_any_owner_will_do() -> None:
    foreign = with_header(sealed(), system_identifier=43)
    with pytest.raises(Foreign) as caught:
        opened(foreign)
    assert "43" in str(caught.value.detail)
    assert unseal(foreign, kind="wal", name="name", system_identifier=None) == PLAIN


@pytest.mark.parametrize(
    "changes",
    [
        {"size": len(PLAIN) + 1},
        {"size": str(len(PLAIN))},
        {"size": 1 << 40},
        {"sha256": "00" * 32},
        {"sha256": None},
        {"compression": "none"},
        {"compression": "gzip"},
        {"encryption": {"cipher": "aes-256-gcm"}},
    ],
)
def test_a_header_that_does_not_fit_its_payload_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Damaged):
        opened(with_header(sealed(), **changes))


def test_an_object_that_would_fill_the_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    assert len(bomb) < 200
    digest = hashlib.sha256(bytes(1 << 20)).hexdigest()
    with pytest.raises(Damaged, match="name"):
        opened(encode(Header("wal", "name", 42, 100, digest), bomb))
    monkeypatch.setattr(codec, "MAX_PLAIN", 1 << 19)
    with pytest.raises(Damaged, match="name"):
        opened(encode(Header("wal", "name", 42, 1 << 20, digest), bomb))
    with pytest.raises(ValueError, match="readers accept"):
        sealed(bytes((1 << 19) + 1))


def test_an_uncompressed_object_is_opened_too() -> None:
    digest = hashlib.sha256(PLAIN).hexdigest()
    assert opened(encode(Header("wal", "name", 42, len(PLAIN), digest, "none"), PLAIN)) == PLAIN


def test_what_is_no_object_cannot_be_peeked_at() -> None:
    with pytest.raises(Damaged):
        peek(b"something else")
