"""Preparing, for real: what comes out, what is refused, and that nothing is left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from sidecar.config import Model
from sidecar.models.preparation import prepare_model
from sidecar.models.prepared import prepared_key, read_manifest
from sidecar.models.preparing.original import CannotPrepare, OriginalModel


@pytest.fixture(autouse=True)
def no_other_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run has prepared is not found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


def prepare(model: Model, cache: Path) -> tuple[Path, list[str]]:
    source = Path(model.source)
    steps: list[str] = []
    key = prepared_key(model, source)
    return prepare_model(model, source, key, cache, steps.append), steps


def test_a_cross_encoder_is_prepared_once(tiny_cross_encoder: Model, tmp_path: Path) -> None:
    model = tiny_cross_encoder.model_copy(update={"precision": "f32"})
    folder, steps = prepare(model, tmp_path)
    manifest = read_manifest(folder)
    assert (manifest.kind, manifest.precision, manifest.max_tokens) == ("cross-encoder", "f32", 64)
    assert manifest.reads_types
    assert manifest.parity.spearman_min >= 0.999
    assert steps[-1].startswith("f32 ranks as the original: Spearman")
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == [folder.name]
    assert prepare(model, tmp_path) == (folder, [])


@pytest.fixture
def too_fine_for_a_byte(tiny_cross_encoder: Model, tmp_path: Path) -> Model:
    """The same with a huge weight in each row, for an input that is always zero: beside it, the
    row's other weights are less than one step of a byte."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    folder = tmp_path / "too-fine"
    AutoTokenizer.from_pretrained(tiny_cross_encoder.source).save_pretrained(folder)
    bert = BertForSequenceClassification.from_pretrained(tiny_cross_encoder.source)
    with torch.no_grad():
        for name, parameter in bert.named_parameters():
            if "LayerNorm" in name:
                parameter[0] = 0
            elif name.endswith(
                ("value.weight", "intermediate.dense.weight", "pooler.dense.weight")
            ):
                parameter[:, 0] = 1e4
    bert.save_pretrained(folder)
    return tiny_cross_encoder.model_copy(update={"source": str(folder)})


def test_what_drifts_is_refused_with_its_figures(
    too_fine_for_a_byte: Model, tmp_path: Path
) -> None:
    model = too_fine_for_a_byte.model_copy(update={"precision": "int8"})
    figures = r"int8 drifts too far .* Spearman -?0\.\d+ .* write precision: auto, or bf16"
    with pytest.raises(ValueError, match=figures):
        prepare(model, tmp_path)
    assert list((tmp_path / "prepared").iterdir()) == []


def test_auto_takes_the_next_precision_and_says_so(
    too_fine_for_a_byte: Model, tmp_path: Path
) -> None:
    folder, steps = prepare(too_fine_for_a_byte, tmp_path)
    assert read_manifest(folder).precision == "bf16"
    assert steps[-1].startswith("int8 drifts too far from the original: ")
    assert "; bf16 ranks as the original: " in steps[-1]


def test_damaged_weights_are_refused(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    model = Model(kind="bi-encoder", source=str(model_folder("weights")))
    with pytest.raises(ValueError, match=r"\w"):
        prepare(model, tmp_path)


def test_a_missing_library_says_what_to_do(
    tiny_cross_encoder: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sentence_transformers.py").write_text("raise ImportError('no such library')")
    path = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    with pytest.raises(ValueError, match="no such library; preparing a model needs it: run `pip"):
        prepare(tiny_cross_encoder, tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"padding_side": "left"}, "padded on the left"),
        ({"model_max_length": 64}, None),
    ],
)
def test_what_no_graph_can_say_is_refused_by_name(
    tiny_cross_encoder: Model, tmp_path: Path, change: dict[str, object], reason: str | None
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    AutoModelForSequenceClassification.from_pretrained(tiny_cross_encoder.source).save_pretrained(
        tmp_path
    )
    AutoTokenizer.from_pretrained(tiny_cross_encoder.source, **change).save_pretrained(tmp_path)
    if reason is None:
        assert OriginalModel(tmp_path, "cross-encoder", None).max_tokens == 64
        return
    with pytest.raises(CannotPrepare, match=f"{reason}.*; write backend: sentence-transformers"):
        OriginalModel(tmp_path, "cross-encoder", None)


def test_parts_that_are_no_graph_are_refused_by_name(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "apple": 1, "tree": 2}, unk_token="[UNK]"))
    static = StaticEmbedding(tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[static]).save(str(tmp_path / "static"))
    with pytest.raises(CannotPrepare, match="StaticEmbedding"):
        OriginalModel(tmp_path / "static", "bi-encoder", None)


def test_a_worker_ends_with_the_process_that_ordered_it(
    tiny_cross_encoder: Model, tmp_path: Path
) -> None:
    model = tiny_cross_encoder.model_copy(update={"precision": "f32", "max_tokens": 32})
    order = {
        "model": model.model_dump(),
        "source": model.source,
        "key": "k",
        "cache": str(tmp_path),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar.models.preparing.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(order) + "\n")
        worker.stdin.flush()
        assert "step" in json.loads(worker.stdout.readline())
        worker.stdin.close()
        assert worker.wait(60) == 1


def test_a_sidecar_that_stops_gives_up(tiny_cross_encoder: Model, tmp_path: Path) -> None:
    stopping = Event()
    stopping.set()
    source = Path(tiny_cross_encoder.source)
    with pytest.raises(ValueError, match="preparing ended early, status -15"):
        prepare_model(tiny_cross_encoder, source, "k", tmp_path, print, stopping)


@pytest.mark.model
def test_the_shipped_model_ranks_as_the_original(
    minilm: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sidecar.models.sources import find_weights

    monkeypatch.undo()  # prepared once a machine
    source = find_weights(minilm, Path())
    key = prepared_key(minilm, source)
    folder = prepare_model(minilm, source, key, None, lambda step: None)
    manifest = read_manifest(folder)
    assert manifest.precision == "int8"
    assert manifest.parity.spearman_mean >= 0.998
    assert manifest.parity.top_10 >= 0.95
    assert manifest.dimensions == 384
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 40e6
