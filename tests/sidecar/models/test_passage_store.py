"""Looking up, rounding, the bound in bytes, and what is forgotten first."""

import hashlib
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sidecar.models.backends.base import FloatArray
from sidecar.models.passage_store import PassageStore, passage_digest, round_vectors

A, B, C, D = (passage_digest(name) for name in "ABCD")
BYTES_A_ROW = 200


def vectors(count: int, dimensions: int = 4, seed: int = 0) -> FloatArray:
    random = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    return random


def store_of(rows: int) -> PassageStore:
    store = PassageStore(4, rows * BYTES_A_ROW)
    assert store.capacity == rows
    return store


def test_a_digest_is_blake2b_of_the_text() -> None:
    assert passage_digest("é") == hashlib.blake2b("é".encode(), digest_size=16).digest()
    assert passage_digest("\ud83d") != passage_digest("?")


def test_what_is_put_is_found_as_put_says() -> None:
    store = store_of(10)
    rounded = store.put([A, B], vectors(2))
    found, read = store.get([B, C, A])
    assert found.tolist() == [True, False, True]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, [rounded[1], [0] * 4, rounded[0]])
    assert len(store) == 2


def test_nothing_is_found_in_an_empty_store() -> None:
    store = store_of(10)
    found, read = store.get([])
    assert (found.shape, read.shape) == ((0,), (0, 4))
    found, read = store.get([A])
    assert found.tolist() == [False]


def test_the_least_recently_used_goes_first() -> None:
    store = store_of(3)
    store.put([A, B, C], vectors(3))
    store.get([A])
    store.put([D], vectors(1, seed=1))
    found, _ = store.get([A, B, C, D])
    assert found.tolist() == [True, False, True, True]
    assert len(store) == 3


def test_to_ask_whether_passages_are_here_is_no_use_of_them() -> None:
    store = store_of(3)
    store.put([A, B, C], vectors(3))
    assert store.has([A, D, C]) == [True, False, True]
    store.put([D], vectors(1, seed=1))
    assert store.has([A, B, C, D]) == [False, True, True, True]


def test_putting_again_replaces() -> None:
    store = store_of(3)
    store.put([A, B], vectors(2))
    rounded = store.put([A], vectors(1, seed=1))
    found, read = store.get([A])
    np.testing.assert_array_equal(read, rounded)
    assert len(store) == 2


def test_more_than_fits_keeps_the_last() -> None:
    store = store_of(2)
    rounded = store.put([A, B, C, D], vectors(4))
    found, read = store.get([A, B, C, D])
    assert found.tolist() == [False, False, True, True]
    np.testing.assert_array_equal(read[2:], rounded[2:])


def test_the_bound_holds_for_all_the_memory_it_takes() -> None:
    bound = 4 * 2**20
    tracemalloc.start()
    try:
        store = PassageStore(384, bound)
        for n in range(0, 12_000, 100):
            digests = [passage_digest(str(n + i)) for i in range(100)]
            store.put(digests, vectors(100, 384, n))
        del digests
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store) == store.capacity < 12_000
    # Python's dictionaries grow in steps, so the index may pass its share for a while.
    assert taken < bound * 1.15


@given(
    npst.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 8)),
        elements=st.floats(-1, 1, width=32),
    )
)
@example(np.array([[2.029e-42]], np.float32))
def test_rounding_is_off_by_half_a_step_at_most(originals: FloatArray) -> None:
    codes, scales = round_vectors(originals)
    assert codes.dtype == np.int8
    assert np.isfinite(scales).all()
    steps = np.abs(codes * scales[:, None] - originals) / scales[:, None]
    assert steps.max() <= 0.5 + 1e-3


def test_a_snapshot_fills_another_store_in_the_same_order() -> None:
    store = store_of(4)
    rounded = store.put([A, B, C], vectors(3))
    store.get([A])
    other = store_of(4)
    other.restore(store.snapshot())
    _, read = other.get([A, B, C])
    np.testing.assert_array_equal(read, rounded)

    small = store_of(2)
    small.restore(store.snapshot())
    found, _ = small.get([A, B, C])
    assert found.tolist() == [True, False, True]


def test_an_empty_snapshot_is_restored() -> None:
    other = store_of(4)
    other.restore(store_of(4).snapshot())
    assert len(other) == 0


def test_a_reader_never_sees_half_a_vector() -> None:
    """One thread replaces vectors while another reads them: each row is one of the two."""
    store = PassageStore(384, 2**20)
    one, two = (np.full((1, 384), value, np.float32) for value in (0.5, -0.25))
    store.put([A], one)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            store.put([A], two)
            store.put([A], one)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(500):
            _, read = store.get([A])
            assert read[0, 0] == pytest.approx(0.5) or read[0, 0] == pytest.approx(-0.25)
            assert (read == read[0, 0]).all()
    finally:
        stop.set()
        writer.join()
