"""Files of a store in use: saved as it grows, whole after a kill, shared by processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sidecar.models import passage_keeping
from sidecar.models.passage_files import add_segment, list_segments, load_segments
from sidecar.models.passage_keeping import MOST_SEGMENTS, PassageKeeper
from sidecar.models.passage_store import PassageStore, passage_digest


def digests(first: int, last: int) -> list[bytes]:
    return [passage_digest(str(n)) for n in range(first, last)]


def empty_store() -> PassageStore:
    return PassageStore(16, 2**20, track_new=True)


def put(store: PassageStore, first: int, last: int) -> None:
    vectors = np.random.default_rng(first).normal(size=(last - first, 16)).astype(np.float32)
    store.put(digests(first, last), vectors)


def loaded(folder: Path, identity: str = "model") -> PassageStore:
    """What a process would find that starts now, without changing anything."""
    store = empty_store()
    PassageKeeper(store, identity, folder, owner=False).close()
    return store


def test_what_was_flushed_outlives_a_process_that_was_killed(tmp_path: Path) -> None:
    store = empty_store()
    killed = PassageKeeper(store, "model", tmp_path)
    put(store, 0, 10)
    killed.flush()
    put(store, 10, 30)
    killed.flush()
    put(store, 30, 40)
    found = loaded(tmp_path)
    assert len(found) == 30
    np.testing.assert_array_equal(found.get(digests(0, 30))[1], store.get(digests(0, 30))[1])
    killed.close()


def test_to_close_it_again_closes_no_other_file(tmp_path: Path) -> None:
    keeper = PassageKeeper(empty_store(), "model", tmp_path)
    keeper.close()
    with (tmp_path / "other").open("w") as other:  # which has the lock file's number now
        keeper.close()
        other.write("still open")
        other.flush()
    assert (tmp_path / "other").read_text() == "still open"


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    keeper = PassageKeeper(empty_store(), "model", tmp_path)
    keeper.tick()
    keeper.flush()
    assert list_segments(tmp_path) == []
    keeper.close()


def test_after_the_end_there_is_one_pair_of_files(tmp_path: Path) -> None:
    store = empty_store()
    keeper = PassageKeeper(store, "model", tmp_path)
    for n in range(3):
        put(store, 10 * n, 10 * n + 10)
        keeper.flush()
    assert len(list_segments(tmp_path)) == 3
    keeper.close()
    assert list_segments(tmp_path) == []
    assert len(loaded(tmp_path)) == 30


def test_a_start_puts_together_what_a_kill_has_left(tmp_path: Path) -> None:
    store = empty_store()
    put(store, 0, 10)
    add_segment(store.take_new(), "model", tmp_path)
    keeper = PassageKeeper(store := empty_store(), "model", tmp_path)
    assert (len(store), list_segments(tmp_path)) == (10, [])
    assert len(loaded(tmp_path)) == 10
    keeper.close()


def test_what_another_process_adds_is_taken_in_and_not_written_again(tmp_path: Path) -> None:
    mine, theirs = empty_store(), empty_store()
    owner = PassageKeeper(mine, "model", tmp_path)
    other = PassageKeeper(theirs, "model", tmp_path, owner=False)
    put(theirs, 0, 10)
    other.tick()
    owner.tick()
    assert mine.get(digests(0, 10))[0].all()
    assert len(list_segments(tmp_path)) == 1
    put(mine, 10, 20)
    owner.tick()
    other.tick()
    assert theirs.get(digests(0, 20))[0].all()
    other.close()
    assert len(list_segments(tmp_path)) == 2, "only the owner takes files away"
    owner.close()
    assert list_segments(tmp_path) == []
    assert len(loaded(tmp_path)) == 20


def test_the_first_to_serve_owns_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = PassageKeeper(empty_store(), "model", tmp_path)
    with caplog.at_level("INFO"):
        second = PassageKeeper(store := empty_store(), "model", tmp_path)
    assert "has another owner" in caplog.text
    put(store, 0, 10)
    second.close()
    assert len(list_segments(tmp_path)) == 1
    first.close()
    assert len(loaded(tmp_path)) == 10
    third = PassageKeeper(empty_store(), "model", tmp_path)
    put_together = list_segments(tmp_path)
    third.close()
    assert put_together == []


def test_many_segments_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The test alone says when it is time.
    monkeypatch.setattr(passage_keeping, "TICK_SECONDS", 3600)
    store = empty_store()
    keeper = PassageKeeper(store, "model", tmp_path)
    for n in range(MOST_SEGMENTS + 1):
        put(store, n, n + 1)
        keeper.flush()
    keeper.tick()
    assert len(list_segments(tmp_path)) == 1
    assert len(loaded(tmp_path)) == MOST_SEGMENTS + 1
    keeper.tick()
    keeper.close()
    assert len(loaded(tmp_path)) == MOST_SEGMENTS + 1


def test_segments_of_another_model_are_not_used(tmp_path: Path) -> None:
    store = empty_store()
    put(store, 0, 10)
    add_segment(store.take_new(), "another", tmp_path)
    assert len(loaded(tmp_path)) == 0


@pytest.mark.parametrize("file", ["passages.npz", "vectors-*.faiss"])
def test_a_damaged_segment_leaves_the_others(tmp_path: Path, file: str) -> None:
    store = empty_store()
    for n in range(3):
        put(store, 10 * n, 10 * n + 10)
        add_segment(store.take_new(), "model", tmp_path)
    [path] = (tmp_path / "segments" / list_segments(tmp_path)[1]).glob(file)
    path.write_bytes(path.read_bytes()[:20])
    assert len(loaded(tmp_path)) == 20


def test_half_a_segment_is_none(tmp_path: Path) -> None:
    (tmp_path / "segments" / "0123.unfinished").mkdir(parents=True)
    assert load_segments(empty_store(), "model", tmp_path) == []


def test_a_folder_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "segments").write_text("in the way")
    keeper = PassageKeeper(store := empty_store(), "model", tmp_path)
    put(store, 0, 10)
    keeper.flush()
    assert "were not saved" in caplog.text
    keeper.close()
    assert len(loaded(tmp_path)) == 10


def test_what_was_forgotten_meanwhile_is_not_written(tmp_path: Path) -> None:
    store = PassageStore(16, 210 * 5, track_new=True)
    keeper = PassageKeeper(store, "model", tmp_path)
    put(store, 0, 20)
    keeper.flush()
    assert len(loaded(tmp_path)) == len(store) == 5
    keeper.close()
