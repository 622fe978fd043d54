"""CBOR within the limits is decoded as the library does; CBOR beyond them is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra_ranking.cbor_bodies import BadCbor, parse_cbor

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.text()
    | st.binary()
    # A float written in two, four and eight bytes.
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


def indefinite(value: Any) -> bytes:
    """The value with every list, object and text of indefinite length."""
    match value:
        case list():
            return b"\x9f" + b"".join(map(indefinite, value)) + b"\xff"
        case dict():
            pairs = (cbor2.dumps(name) + indefinite(item) for name, item in value.items())
            return b"\xbf" + b"".join(pairs) + b"\xff"
        case str():
            return b"\x7f" + cbor2.dumps(value) + b"\xff"
        case _:
            return cbor2.dumps(value)


@given(VALUES)
def test_what_is_within_the_bounds_is_decoded(value: Any) -> None:
    assert parse_cbor(cbor2.dumps(value), 1000) == value
    assert parse_cbor(cbor2.dumps(value, canonical=True), 1000) is not NotImplemented
    assert parse_cbor(indefinite(value), 1000) == value


@given(st.binary(max_size=60))
def test_nothing_else_goes_wrong(body: bytes) -> None:
    with suppress(BadCbor):
        parse_cbor(body, 1000)


@pytest.mark.parametrize(
    "body",
    [
        cbor2.dumps({1.5: "a"}),
        cbor2.dumps({"a": {(1, 2): 3}}),
        b"\xbf\xf5\x02\xff",
        b"\xa1\x9f\xff\x01",
        cbor2.dumps([0] * 50),
        b"\x81" * 200 + b"\x00",
    ],
    ids=lambda body: repr(body[:6]),
)
def test_keys_of_other_kinds_and_amounts_beyond_the_bound(body: bytes) -> None:
    with pytest.raises(BadCbor):
        parse_cbor(body, 50 if body[0] == 0x98 else 1000)
