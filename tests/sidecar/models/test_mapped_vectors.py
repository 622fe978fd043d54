"""Vectors in files: a store finds them, adds its own, and writes both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sidecar.models.backends.base import FloatArray
from sidecar.models.mapped_files import can_be_mapped
from sidecar.models.mapped_vectors import MappedVectors
from sidecar.models.passage_files import map_passages, save_passages
from sidecar.models.passage_keeping import PassageKeeper
from sidecar.models.passage_store import PassageStore, bytes_of_passages, passage_digest

_DIMENSIONS = 8
_BYTES = bytes_of_passages(100, _DIMENSIONS)


def digests(*numbers: int) -> list[bytes]:
    return [passage_digest(str(number)) for number in numbers]


def vectors(*numbers: int) -> FloatArray:
    rows = [np.random.default_rng(number).normal(size=_DIMENSIONS) for number in numbers]
    return np.array(rows, np.float32)


def store_of(*numbers: int) -> PassageStore:
    store = PassageStore(_DIMENSIONS, _BYTES, track_new=True)
    if numbers:
        store.put(digests(*numbers), vectors(*numbers))
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if not can_be_mapped(tmp_path):
        pytest.skip("the folder for tests is on a disk whose files are not mapped")
    return tmp_path


def mapped(folder: Path, *numbers: int) -> MappedVectors:
    save_passages(store_of(*numbers), "model", folder)
    found = map_passages(store_of(), "model", folder)
    assert found is not None
    return found


def test_a_store_has_what_is_in_files_and_its_own(folder: Path) -> None:
    plain = store_of(*range(8))
    store = store_of()
    store.use_files(mapped(folder, *range(6)))
    assert (len(store), store.count_unmapped()) == (6, 0)
    for known in (6, 8):
        for numbers in (range(6), range(10), (9, 2, 9, 7), (), (8, 9)):
            stored, found = store.get(digests(*numbers))
            _, expected = plain.get(digests(*numbers))
            assert stored.tolist() == [number < known for number in numbers]
            assert store.has(digests(*numbers)) == stored.tolist()
            assert np.array_equal(found[stored], expected[stored])
            assert not found[~stored].any()
        store.put(digests(6, 7), vectors(6, 7))


def test_what_is_in_files_is_not_in_memory(folder: Path) -> None:
    store = store_of(*range(4))
    store.use_files(mapped(folder, *range(3)))
    store.move_to_files(mapped(folder, *range(4)))
    assert (len(store), store.count_unmapped()) == (4, 0)
    store.restore(store_of(2, 3, 4).snapshot())
    assert (len(store), store.count_unmapped()) == (5, 1)


def test_unused_vectors_go_first_when_a_store_is_written(folder: Path) -> None:
    small = PassageStore(_DIMENSIONS, bytes_of_passages(6, _DIMENSIONS))
    small.use_files(mapped(folder, *range(6)))
    small.get(digests(0, 1))
    small.put(digests(6, 7), vectors(6, 7))
    kept = [row.tobytes() for row in small.snapshot().digests]
    assert kept == digests(4, 5, 0, 1, 6, 7)


def test_the_owner_moves_segments_into_the_mapped_files(folder: Path) -> None:
    first = store_of()
    keeper = PassageKeeper(first, "model", folder, owner=False)  # which leaves its segment there
    first.put(digests(1, 2), vectors(1, 2))
    keeper.close()
    counts = []
    for owner in (False, True, False):
        store = store_of()
        PassageKeeper(store, "model", folder, owner=owner).close()
        counts.append((len(store), store.count_unmapped()))
    assert counts == [(2, 2), (2, 0), (2, 0)]


def test_other_models_and_larger_files_are_not_mapped(folder: Path) -> None:
    save_passages(store_of(1, 2, 3), "model", folder)
    assert map_passages(store_of(), "another", folder) is None
    small = PassageStore(_DIMENSIONS, bytes_of_passages(2, _DIMENSIONS))
    assert map_passages(small, "model", folder) is None
    [codes] = folder.glob("*.faiss")
    codes.write_bytes(codes.read_bytes()[:-1])
    assert map_passages(store_of(), "model", folder) is None
