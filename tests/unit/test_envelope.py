"""The envelope: what is put in comes out, and what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.envelope import MAX_HEADER, EnvelopeError, Header, decode, decode_header, encode

HEADER = Header("wal", "000000010000000000000001", 42, 3, "00" * 32)


@given(st.binary(max_size=200))
def test_header_and_payload_come_back(payload: bytes) -> None:
    assert decode(encode(HEADER, payload)) == (HEADER, payload)


def test_the_first_bytes_never_change() -> None:
    blob = encode(HEADER, b"payload")
    assert blob.startswith(b"PENDOPS1")
    length = int.from_bytes(blob[8:12], "big")
    assert blob[12 : 12 + length].startswith(b'{"compression":"zstd","encryption":null,"kind":"wal",')
    assert blob[12 + length :] == b"payload"


def test_the_header_can_be_read_from_a_part_of_the_object() -> None:
    blob = encode(HEADER, bytes(1000))
    _, offset = decode_header(blob)
    assert decode_header(blob[:offset]) == (HEADER, offset)
    for cut in range(offset):
        with pytest.raises(EnvelopeError):
            decode_header(blob[:cut])


@given(st.binary(max_size=100))
def test_foreign_bytes_are_no_envelope(blob: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode(blob)


@pytest.mark.parametrize("text", [b"{}", b"[]", b"1", b"{", b'{"kind":"wal","more":1}', b"\xff\xff"])
def test_a_header_that_is_not_one_is_refused(text: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode(b"PENDOPS1" + len(text).to_bytes(4, "big") + text)


def test_a_header_is_never_longer_than_readers_accept() -> None:
    with pytest.raises(ValueError, match="readers accept"):
        encode(Header("wal", "x" * MAX_HEADER, 42, 3, ""), b"")
    blob = b"PENDOPS1" + (MAX_HEADER + 1).to_bytes(4, "big") + bytes(MAX_HEADER + 1)
    with pytest.raises(EnvelopeError):
        decode(blob)
