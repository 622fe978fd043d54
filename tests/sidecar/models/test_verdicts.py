"""A prepared folder on a processor of another kind: it is decided once more, without torch."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar.config.main_file import Model
from sidecar.models import verdicts
from sidecar.models.backends import processor
from sidecar.models.backends.base import FloatArray
from sidecar.models.preparation import prepare_model
from sidecar.models.prepared import Manifest, Parity, read_manifest, write_manifest
from sidecar.models.prepared_backends import identity
from sidecar.models.preparing.parity import bundled_texts
from sidecar.models.verdicts import Verdict, find_verdict, load_judged, read_scores, write_verdict
from sidecar.models.ways import Way


@pytest.fixture(scope="module")
def prepared(tiny_cross_encoder: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was prepared on this processor."""
    source, cache = Path(tiny_cross_encoder.source), tmp_path_factory.mktemp("verdicts")
    return prepare_model(tiny_cross_encoder, source, "k", cache, lambda step: None)


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """The same, copied as to another machine."""
    return shutil.copytree(prepared, tmp_path / "copied")


def load(folder: Path, cache: Path | None = None) -> list[str]:
    steps: list[str] = []
    load_judged(folder, read_manifest(folder), "k", 1, steps.append, cache)
    return steps


def move_elsewhere(folder: Path) -> None:
    """As if it had been prepared on another processor."""
    for path in folder.glob("verdict-*.json"):
        path.unlink()


def store_only(folder: Path, form: str) -> None:
    """As if it had been prepared with that precision."""
    manifest = dataclasses.replace(read_manifest(folder), precision=form, forms=(form,))
    write_manifest(folder, manifest)


def test_it_is_not_judged_twice_on_its_own_processor(folder: Path) -> None:
    verdict = find_verdict(folder)
    assert verdict is not None
    assert verdict.arithmetic == processor.arithmetic()
    assert load(folder) == []


def test_elsewhere_it_is_decided_once(folder: Path) -> None:
    move_elsewhere(folder)
    assert find_verdict(folder) is None
    first, last = load(folder)
    assert "another kind of processor" in first
    verdict = find_verdict(folder)
    assert verdict is not None
    assert last.startswith(f"{verdict.way} ranks as the original: Spearman ")
    assert verdict.describe_times() in last
    assert load(folder) == []
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []


def test_what_does_not_rank_as_the_original_there_is_refused(folder: Path) -> None:
    move_elsewhere(folder)
    np.save(folder / "original.npy", -read_scores(folder))
    with pytest.raises(
        ValueError, match=r"on this processor, int8 drifts .*; delete .* `sidecar models prepare`"
    ):
        load(folder)
    assert list(folder.glob("verdict-*")) == []


@pytest.mark.parametrize("damage", ["", "{}", '{"parity": {}}', "[]"])
def test_a_damaged_verdict_is_made_again(folder: Path, damage: str) -> None:
    store_only(folder, "f32")
    move_elsewhere(folder)
    load(folder)
    [verdict] = folder.glob("verdict-*.json")
    verdict.write_text(damage)
    assert len(load(folder)) == 2
    assert json.loads(verdict.read_text())["way"] == {"form": "f32", "computed_in": "f32"}


def verdict_for(way: Way) -> Verdict:
    parity = Parity(1, 1, 1.0, 1.0, 1.0)
    return Verdict(processor.arithmetic(), way, parity, {"int8": 1.5, "f32": 2.0}, ("a",))


def test_the_first_of_two_verdicts_stays(folder: Path) -> None:
    """Processes that share vectors must compute alike."""
    move_elsewhere(folder)
    first, second = verdict_for(Way("int8", "int8")), verdict_for(Way("f32", "f32"))
    assert write_verdict(folder, first) == first
    assert write_verdict(folder, second) == first
    assert find_verdict(folder) == first
    assert first.describe_times() == "int8 1.5 ms of processor time a passage (f32 2.0)"


def test_the_verdict_of_a_read_only_folder_is_in_the_cache(folder: Path, tmp_path: Path) -> None:
    move_elsewhere(folder)
    place = folder / f"verdict-{verdicts._digest(processor.arithmetic())}.json"
    place.mkdir()  # also root cannot replace a folder by a file
    (place / "in the way").touch()
    cache = tmp_path / "cache"
    assert len(load(folder, cache)) == 2
    assert find_verdict(folder, cache) is not None
    assert load(folder, cache) == []
    assert find_verdict(folder, tmp_path / "another") is None


def test_the_chosen_way_decides_the_vectors_identity(folder: Path) -> None:
    ways = [
        Way("int8-fixed", "int8-fixed"),
        Way("int8", "int8"),
        Way("int8", "f32"),
        Way("f32", "bf16"),
        Way("f32", "f32"),
    ]
    assert len({identity("k", way) for way in ways}) == len(ways)
    assert identity("k", ways[0]) != identity("other", ways[0])


@pytest.mark.parametrize("form", ["int8", "f32"])
def test_the_verdict_says_how_it_is_computed(
    folder: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Way] = []

    def load_prepared(*arguments: Any) -> None:
        loaded.append(arguments[3])

    monkeypatch.setattr(verdicts, "load_prepared", load_prepared)
    move_elsewhere(folder)
    write_verdict(folder, verdict_for(Way(form, form)))
    assert load(folder) == []
    assert loaded == [Way(form, form)]


def test_damaged_scores_say_what_to_delete(folder: Path) -> None:
    move_elsewhere(folder)
    (folder / "original.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"is damaged; delete it and prepare the model again"):
        load(folder)


class _Answers:
    """A cross-encoder whose scores of the bundled passages are given."""

    def __init__(self, scores: FloatArray) -> None:
        queries, passages = bundled_texts("cross-encoder")
        self._rows = dict(zip(queries, scores, strict=True))
        self._places = {passage: place for place, passage in enumerate(passages)}

    def score_pairs(self, query_text: str, texts: list[str]) -> FloatArray:
        scores: FloatArray = self._rows[query_text][[self._places[text] for text in texts]]
        return scores


@pytest.fixture
def quick_numbers_fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[FloatArray, Any], None]:
    """A processor whose quick numbers spoil the order, or fail, where f32 does not."""

    def make(original: FloatArray, quick: Any) -> None:
        def load_prepared(
            folder: Path, manifest: Manifest, key: str, way: Way, threads: int, warm: bool = True
        ) -> _Answers:
            if way.computed_in == "f32":
                return _Answers(original)
            if isinstance(quick, Exception):
                raise quick
            return _Answers(quick)

        monkeypatch.setattr(verdicts, "load_prepared", load_prepared)

    return make


@pytest.mark.parametrize(
    ("quick", "reason"),
    [
        (-1.0, "int8 drifts too far from the original: Spearman -1.0000"),
        (float("nan"), "int8 gives scores that are not finite"),
        (RuntimeError("no code\nfor it"), "int8 cannot be computed here: no code for it"),
    ],
)
def test_where_quick_numbers_fail_it_is_computed_in_f32(
    folder: Path,
    quick_numbers_fail: Callable[[FloatArray, Any], None],
    quick: Any,
    reason: str,
) -> None:
    move_elsewhere(folder)
    store_only(folder, "int8")
    original = read_scores(folder)
    quick_numbers_fail(original, quick if isinstance(quick, Exception) else quick * original)
    _, last = load(folder)
    assert last.startswith(f"{reason}")
    assert "; int8, computed in f32, ranks as the original: " in last
    verdict = find_verdict(folder)
    assert verdict is not None
    assert verdict.way == Way("int8", "f32")


def test_auto_does_not_use_quick_numbers_that_fail(
    folder: Path, quick_numbers_fail: Callable[[FloatArray, Any], None]
) -> None:
    move_elsewhere(folder)
    original = read_scores(folder)
    quick_numbers_fail(original, -original)
    load(folder)
    verdict = find_verdict(folder)
    assert verdict is not None
    assert verdict.way == Way("f32", "f32")
    assert verdict.refused[0].startswith("int8 drifts too far")


def test_the_limit_of_the_environment_is_part_of_the_arithmetic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(processor.LIMIT, raising=False)
    free = processor.arithmetic()
    monkeypatch.setenv(processor.LIMIT, "AVX2")
    assert processor.arithmetic() == f"{free} {processor.LIMIT}=AVX2"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "fast"),
    [
        ("x86_64", "vendor_id\t: GenuineIntel\nflags\t\t: avx512_bf16 amx_bf16", "bf16"),
        ("x86_64", "vendor_id\t: GenuineIntel\nflags\t\t: avx512_bf16", "f32"),
        ("x86_64", "vendor_id\t: AuthenticAMD\nflags\t\t: avx512_bf16", "bf16"),
        ("x86_64", "vendor_id\t: AuthenticAMD\nflags\t\t: avx2", "f32"),
        ("aarch64", "Features\t: asimd bf16", "bf16"),
        ("aarch64", "Features\t: asimd", "f32"),
        ("x86_64", "", "f32"),
    ],
)
def test_which_floats_are_quick(
    monkeypatch: pytest.MonkeyPatch, machine: str, cpuinfo: str, fast: str
) -> None:
    lines = dict(line.split("\t", 1) for line in cpuinfo.splitlines())
    values = {name: rest.split(":", 1)[1] for name, rest in lines.items()}
    monkeypatch.setattr(processor, "_processor_line", lambda field: values.get(field, ""))
    monkeypatch.setattr("sidecar.models.backends.processor.platform.machine", lambda: machine)
    assert processor.fast_float() == fast
    assert f"floats={fast}" in processor.arithmetic()
