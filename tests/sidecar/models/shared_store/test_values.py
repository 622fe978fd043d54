"""Values of the shared store: exact again, and nothing but what was written for this key."""

import numpy as np
import pytest

from sidecar.models.passage_store import passage_digest
from sidecar.models.shared_store.values import SharedValues

VALUES = SharedValues("model a", 5)
KEY = VALUES.key(passage_digest("a passage"))
CODES = np.array([127, -127, 0, 3, -1], np.int8)
VALUE = VALUES.pack(KEY, CODES, 0.25)


def test_a_value_is_read_as_it_was_written() -> None:
    vector = VALUES.unpack(KEY, VALUE)
    assert vector is not None
    assert vector[0].tolist() == CODES.tolist()
    assert vector[1] == 0.25
    assert len(VALUE) == VALUES.bytes


def test_neither_key_nor_value_contains_the_text() -> None:
    assert len(KEY) == 28
    assert b"passage" not in KEY + VALUE


@pytest.mark.parametrize("place", range(len(VALUE)))
def test_every_changed_byte_is_noticed(place: int) -> None:
    changed = VALUE[:place] + bytes([VALUE[place] ^ 1]) + VALUE[place + 1 :]
    assert VALUES.unpack(KEY, changed) is None


@pytest.mark.parametrize("value", [b"", b"x", VALUE[:-1], VALUE + b"\0", b"\0" * len(VALUE)])
def test_a_value_of_another_length_or_origin_is_none(value: bytes) -> None:
    assert VALUES.unpack(KEY, value) is None


def test_a_value_of_another_passage_or_model_is_none() -> None:
    assert VALUES.unpack(VALUES.key(passage_digest("another")), VALUE) is None
    other = SharedValues("model b", 5)
    assert other.key(passage_digest("a passage")) != KEY
    assert other.unpack(KEY, VALUE) is None


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_no_vector_has_is_none(scale: float) -> None:
    assert VALUES.unpack(KEY, VALUES.pack(KEY, CODES, scale)) is None
