"""Vectors over a restart, and files that must not be used."""

import logging
from pathlib import Path

import numpy as np
import pytest

from sidecar.models.passage_files import load_passages, save_passages
from sidecar.models.passage_store import PassageStore, passage_digest

DIGESTS = [passage_digest(str(n)) for n in range(50)]


def empty_store(dimensions: int = 16) -> PassageStore:
    return PassageStore(dimensions, 2**20)


@pytest.fixture
def store() -> PassageStore:
    store = empty_store()
    store.put(DIGESTS, np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32))
    return store


def loaded(folder: Path, identity: str = "model", dimensions: int = 16) -> PassageStore:
    store = empty_store(dimensions)
    load_passages(store, identity, folder)
    return store


def test_what_was_saved_is_loaded(store: PassageStore, tmp_path: Path) -> None:
    save_passages(store, "model", tmp_path / "new" / "folder")
    other = loaded(tmp_path / "new" / "folder")
    found, vectors = other.get(DIGESTS)
    assert found.all()
    np.testing.assert_array_equal(vectors, store.get(DIGESTS)[1])


def test_saving_again_replaces_and_leaves_no_rest(store: PassageStore, tmp_path: Path) -> None:
    save_passages(store, "model", tmp_path)
    store.put([passage_digest("another")], np.ones((1, 16), np.float32))
    save_passages(store, "model", tmp_path)
    assert len(loaded(tmp_path)) == 51
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_store_is_saved(tmp_path: Path) -> None:
    save_passages(empty_store(), "model", tmp_path)
    assert len(loaded(tmp_path)) == 0


def test_the_vectors_are_a_faiss_index(store: PassageStore, tmp_path: Path) -> None:
    import faiss

    save_passages(store, "model", tmp_path)
    [path] = tmp_path.glob("vectors-*.faiss")
    index = faiss.read_index(str(path))
    codes = store.snapshot().codes
    assert (index.ntotal, index.d) == codes.shape
    np.testing.assert_array_equal(index.reconstruct_n(0, len(codes)), codes)


def test_a_folder_without_files_is_no_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert len(loaded(tmp_path / "none")) == 0
    assert caplog.records == []


@pytest.mark.parametrize(("identity", "dimensions"), [("another", 16), ("model", 8)])
def test_vectors_of_another_model_are_not_used(
    store: PassageStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    identity: str,
    dimensions: int,
) -> None:
    save_passages(store, "model", tmp_path)
    assert len(loaded(tmp_path, identity, dimensions)) == 0
    assert "are not used" in caplog.text


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("pattern", ["passages.npz", "vectors-*.faiss"])
def test_a_half_written_file_is_not_used(
    store: PassageStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    pattern: str,
    share: float,
) -> None:
    save_passages(store, "model", tmp_path)
    [path] = tmp_path.glob(pattern)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert len(loaded(tmp_path)) == 0
    assert "are not used" in caplog.text
    save_passages(store, "model", tmp_path)
    assert len(loaded(tmp_path)) == 50


def test_dying_while_saving_leaves_the_former_files(store: PassageStore, tmp_path: Path) -> None:
    save_passages(store, "model", tmp_path)
    (tmp_path / "vectors-00000000.faiss").write_bytes(b"half an ind")
    (tmp_path / "passages.npz.unfinished").write_bytes(b"half a manif")
    assert len(loaded(tmp_path)) == 50


def test_a_folder_that_cannot_be_written_is_logged(
    store: PassageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    save_passages(store, "model", tmp_path / "file")
    assert "were not saved" in caplog.text
