"""Content codings: both ways, with limits, and everything broken refused."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.relay.content_coding import (
    DecodedTooLarge,
    UndecodableBody,
    decode_content,
    encode_content,
)


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"GZIP", b"x-gzip", b"deflate"]))
def test_what_is_encoded_decodes_to_itself(body: bytes, coding: bytes) -> None:
    assert decode_content(encode_content(body, coding), coding, limit=200) == body


def test_other_senders_forms_decode() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert decode_content(raw.compress(b"abc") + raw.flush(), b"deflate", limit=3) == b"abc"
    members = gzip.compress(b"ab") + gzip.compress(b"c")
    assert decode_content(members, b"gzip", limit=3) == b"abc"
    assert decode_content(b"abc", None, limit=3) == b"abc"
    assert decode_content(b"abc", b"identity", limit=3) == b"abc"
    assert encode_content(b"abc", b"identity") == b"abc"


@pytest.mark.parametrize("coding", [None, b"gzip", b"deflate"])
def test_the_limit_holds_for_what_comes_out(coding: bytes | None) -> None:
    body = encode_content(b"0" * 1_000_000, coding or b"identity")
    assert len(decode_content(body, coding, limit=1_000_000)) == 1_000_000
    with pytest.raises(DecodedTooLarge):
        decode_content(body, coding, limit=999_999)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"", b"gzip"),
        (b"plain", b"gzip"),
        (gzip.compress(b"abc", mtime=0)[:-1], b"gzip"),
        (gzip.compress(b"abc", mtime=0) + b"junk", b"gzip"),
        (zlib.compress(b"abc") + b"junk", b"deflate"),
        (b"abc", b"br"),
        (b"abc", b"gzip, gzip"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(body: bytes, coding: bytes) -> None:
    with pytest.raises(UndecodableBody):
        decode_content(body, coding, limit=1000)


def test_an_unknown_coding_is_not_produced() -> None:
    with pytest.raises(UndecodableBody):
        encode_content(b"abc", b"br")
