"""Sealing and unsealing: an object is believed only when everything about it agrees."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ops.config import Keys
from ops.model.envelope import Header, decode, encode
from ops.model.keys import NotAuthentic
from ops.model.layout import Layout
from ops.store import codec
from ops.store.codec import Damaged, Foreign, peek, seal, unseal
from ops.store.folder import FolderStore
from ops.store.keyring import KeyFiles, Keyring, KeyUnavailable, Purpose

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
        {"encryption": "aes-256-gcm"},
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


# -- encrypted -----------------------------------------------------------------------------------------------


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """Keys of cluster 42, with one data key, in folders of their own."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "keys" / "k1").touch(mode=0o600)
    (tmp_path / "keys" / "k1").write_bytes(base64.b64encode(os.urandom(32)))
    layout = Layout("pend", "main", 42)
    found = Keyring(FolderStore(tmp_path / "store"), layout, KeyFiles(Keys(directory=tmp_path / "keys")))
    found.make()
    return found


def encrypted(keyring: Keyring, plain: bytes = PLAIN, name: str = "name") -> bytes:
    return seal("wal", name, 42, plain, level=1, keyring=keyring)


def decrypted(blob: bytes, keyring: Keyring | None, name: str = "name") -> bytes:
    return unseal(blob, kind="wal", name=name, system_identifier=42, keyring=keyring)


def test_what_was_encrypted_is_opened_and_looks_different_each_time(keyring: Keyring) -> None:
    one, other = encrypted(keyring), encrypted(keyring)
    assert decrypted(one, keyring) == decrypted(other, keyring) == PLAIN
    assert one != other
    assert hashlib.sha256(PLAIN).hexdigest().encode() not in one


def test_any_flipped_bit_of_an_encrypted_object_is_noticed(keyring: Keyring) -> None:
    blob = encrypted(keyring)
    for position in range(len(blob)):
        for bit in (0, 7):
            altered = bytearray(blob)
            altered[position] ^= 1 << bit
            with pytest.raises((Damaged, Foreign), match="name"):
                decrypted(bytes(altered), keyring)


def test_any_cut_or_addition_to_an_encrypted_object_is_noticed(keyring: Keyring) -> None:
    blob = encrypted(keyring)
    for altered in (*(blob[:length] for length in range(len(blob))), blob + b"!", blob + blob):
        with pytest.raises(Damaged):
            decrypted(altered, keyring)


@pytest.mark.parametrize("change", [{"name": "other"}, {"kind": "manifest"}, {"system_identifier": 43}, {"size": 1}])
def test_a_header_is_bound_to_its_payload(keyring: Keyring, change: dict[str, object]) -> None:
    header = with_header(encrypted(keyring), **change)
    kind, name = change.get("kind", "wal"), change.get("name", "name")
    with pytest.raises(Damaged):
        unseal(header, kind=kind, name=str(name), system_identifier=None, keyring=keyring)  # type: ignore[arg-type]


def test_payloads_cannot_change_places(keyring: Keyring) -> None:
    (header, _), (_, payload) = decode(encrypted(keyring)), decode(encrypted(keyring))
    with pytest.raises(Damaged):
        decrypted(encode(header, payload), keyring)


def test_plaintext_is_not_believed_where_encryption_is_declared_nor_the_other_way_round(keyring: Keyring) -> None:
    with pytest.raises(Damaged, match="name"):
        decrypted(sealed(), keyring)
    with pytest.raises(KeyUnavailable, match="name"):
        decrypted(encrypted(keyring), None)


def test_what_was_sealed_under_an_older_data_key_is_opened(keyring: Keyring) -> None:
    before = encrypted(keyring)
    keyring.make()
    after = encrypted(keyring)
    assert peek(before).encryption != peek(after).encryption
    assert decrypted(before, keyring) == decrypted(after, keyring) == PLAIN


def test_bytes_that_changed_before_they_were_sealed_are_noticed(keyring: Keyring) -> None:
    """As by a faulty memory between compressing and sealing: the tag fits, the checksum of the frame does not."""
    plain = b"literals, kept as they are"
    compressed = bytearray(zstandard.ZstdCompressor(write_checksum=True, level=1).compress(plain))
    compressed[10] ^= 1
    header = decode(encrypted(keyring, plain))[0]
    assert header.encryption is not None
    key, salt = keyring.newest(), bytes.fromhex(header.encryption["salt"])
    blob = encode(header, key.seal(Purpose.OBJECT, salt, bytes(compressed), encode(header, b"")))
    with pytest.raises(Damaged, match="checksum"):
        decrypted(blob, keyring)


def test_a_pack_cipher_opens_a_block_only_where_it_was_sealed(keyring: Keyring) -> None:
    cipher = keyring.newest().pack_cipher(bytes(16))
    stored = cipher.seal(b"block", 8)
    assert cipher.open(stored, 8) == b"block"
    for other, offset in ((cipher, 9), (keyring.newest().pack_cipher(bytes(15) + b"!"), 8)):
        with pytest.raises(NotAuthentic):
            other.open(stored, offset)
