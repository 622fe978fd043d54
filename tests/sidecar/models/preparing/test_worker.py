"""Preparing, for real: what comes out, what is refused, and that nothing is left behind."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from sidecar.config.main_file import Model
from sidecar.models.backends.graphs import GraphBiEncoder
from sidecar.models.preparation import prepare_model
from sidecar.models.prepared import prepared_key, read_manifest
from sidecar.models.prepared_backends import load_prepared
from sidecar.models.preparing.errors import CannotPrepare
from sidecar.models.preparing.original import open_original
from sidecar.models.preparing.torch_original import TorchOriginal
from sidecar.models.students.readings import MOST_READINGS, read_readings, write_readings
from sidecar.models.verdicts import Verdict, find_verdict
from sidecar.models.ways import Way
from tests.tiny_models import build_bi_encoder


@pytest.fixture(autouse=True)
def no_other_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run has prepared is not found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


CRASH = """
import os, signal
from sidecar.models.preparing import graph_files
graph_files.compress_weights = lambda graph: os.kill(os.getpid(), signal.SIGILL)
"""


def prepare(model: Model, cache: Path) -> tuple[Path, list[str]]:
    source = Path(model.source)
    steps: list[str] = []
    key = prepared_key(model, source)
    return prepare_model(model, source, key, cache, steps.append), steps


def verdict_of(folder: Path) -> Verdict:
    verdict = find_verdict(folder)
    assert verdict is not None
    return verdict


def test_a_cross_encoder_is_prepared_once(tiny_cross_encoder: Model, tmp_path: Path) -> None:
    model = tiny_cross_encoder.model_copy(update={"precision": "f32"})
    folder, steps = prepare(model, tmp_path)
    manifest = read_manifest(folder)
    assert (manifest.kind, manifest.forms, manifest.max_tokens) == ("cross-encoder", ("f32",), 64)
    assert manifest.reads_types
    assert verdict_of(folder).parity.spearman_min >= 0.999
    assert not verdict_of(folder).milliseconds
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
    figures = r"int8 drifts too far .* Spearman -?0\.\d+ .* write precision: auto, or f32"
    with pytest.raises(ValueError, match=figures):
        prepare(model, tmp_path)
    assert list((tmp_path / "prepared").iterdir()) == []


def test_auto_leaves_out_what_drifts_and_says_so(
    too_fine_for_a_byte: Model, tmp_path: Path
) -> None:
    folder, steps = prepare(too_fine_for_a_byte, tmp_path)
    verdict = verdict_of(folder)
    assert verdict.way.form == "f32"
    assert "int8" not in verdict.milliseconds
    assert read_manifest(folder).forms == ("f32",)
    assert list(folder.glob("graph-int8.*")) == []
    assert steps[-1].startswith("int8-fixed drifts too far from the original: ")
    assert "; int8 drifts too far from the original: " in steps[-1]
    assert f"; {verdict.way} ranks as the original: " in steps[-1]


def test_auto_measures_what_passes(tiny_cross_encoder: Model, tmp_path: Path) -> None:
    """Which one is faster is the machine's affair, but the times must be those of the choice."""
    folder, steps = prepare(tiny_cross_encoder, tmp_path)
    verdict = verdict_of(folder)
    assert read_manifest(folder).forms == ("int8", "f32")
    assert {"int8", "f32"} <= set(verdict.milliseconds) <= {"int8", "bf16", "f32"}
    fastest = min(verdict.milliseconds.values())
    assert 0 < verdict.milliseconds[verdict.way.precision] <= 1.06 * fastest
    assert steps[-1].endswith(verdict.describe_times())


FIXED_CRASH = """
import os, signal
from sidecar.models.preparing import fixed_scales
fixed_scales.fix_scales = lambda *arguments: os.kill(os.getpid(), signal.SIGILL)
"""


def test_fixed_scales_that_crash_or_drift_are_left_out(
    tiny_cross_encoder: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head with random weights has scores close together, so fixed scales drift."""
    folder, _ = prepare(tiny_cross_encoder, tmp_path / "drifts")
    assert list(folder.glob("graph-int8-fixed.*")) == []
    [drift] = verdict_of(folder).refused
    assert drift.startswith("int8-fixed drifts too far from the original: Spearman")
    (tmp_path / "sitecustomize.py").write_text(FIXED_CRASH)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    folder, _ = prepare(tiny_cross_encoder, tmp_path / "crashes")
    crash = "int8-fixed cannot be computed here: it ended the process by SIGILL"
    assert verdict_of(folder).refused == (crash,)


@pytest.fixture
def too_fine_for_halves(tiny_cross_encoder: Model, tmp_path: Path) -> Model:
    """The same with 2000 added to all numbers of its word vectors, which the first layer takes off
    again: floats of two bytes have no room for the rest, on any processor."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    folder = tmp_path / "too-fine-for-halves"
    AutoTokenizer.from_pretrained(tiny_cross_encoder.source).save_pretrained(folder)
    bert = BertForSequenceClassification.from_pretrained(tiny_cross_encoder.source)
    with torch.no_grad():
        bert.bert.embeddings.word_embeddings.weight += 2000
    bert.save_pretrained(folder)
    return tiny_cross_encoder.model_copy(update={"source": str(folder)})


def test_two_bytes_are_not_enough_where_they_drift(
    too_fine_for_halves: Model, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"^bf16.* drifts too far from the original: Spearman"):
        prepare(too_fine_for_halves.model_copy(update={"precision": "bf16"}), tmp_path)
    folder, _ = prepare(too_fine_for_halves, tmp_path)
    assert "f32" in read_manifest(folder).forms
    assert "bf16" not in verdict_of(folder).milliseconds


def test_a_precision_that_crashes_is_not_taken(
    tiny_cross_encoder: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a processor that lacks an instruction: the process is gone at once."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(CRASH)
    path = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    folder, _ = prepare(tiny_cross_encoder, tmp_path)
    assert read_manifest(folder).forms == ("f32",)
    crash = "int8 cannot be computed here: it ended the process by SIGILL"
    assert verdict_of(folder).refused[0] == crash
    alone = tiny_cross_encoder.model_copy(update={"precision": "int8"})
    with pytest.raises(ValueError, match=f"^{crash}; write precision: auto, or f32$"):
        prepare(alone, tmp_path)
    names = [path.name for path in (tmp_path / "prepared").iterdir()]
    assert [name for name in names if not name.startswith(".")] == [folder.name]


def test_damaged_weights_are_refused(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    model = Model(kind="bi-encoder", source=str(model_folder("weights")))
    with pytest.raises(ValueError, match=r"\w"):
        prepare(model, tmp_path)


def test_a_missing_library_says_what_to_do(
    tiny_cross_encoder: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "safetensors.py").write_text("raise ImportError('no such library')")
    path = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    told = "no such library; run: pip install rescore-sidecar, or prepare the model elsewhere"
    with pytest.raises(ValueError, match=told):
        prepare(tiny_cross_encoder, tmp_path)


def test_a_model_that_needs_torch_names_the_extra(
    tiny_cross_encoder: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_config(tiny_cross_encoder, tmp_path / "mish", hidden_act="mish")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = r"activation is mish.*pip install 'rescore-sidecar\[sentence-transformers\]'"
    with pytest.raises(ValueError, match=told):
        open_original(model, Path(model.source))


def test_torch_prepares_what_the_files_alone_do_not_say(
    tiny_cross_encoder: Model, tmp_path: Path
) -> None:
    model = with_config(tiny_cross_encoder, tmp_path / "mish", hidden_act="mish")
    model = model.model_copy(update={"precision": "int8"})
    folder, steps = prepare(model, tmp_path)
    assert read_manifest(folder).reads_types
    assert steps[-1].startswith("int8 ranks as the original: Spearman")


def with_config(model: Model, folder: Path, **settings: object) -> Model:
    """A copy of a model with other settings in its `config.json`."""
    shutil.copytree(model.source, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return model.model_copy(update={"source": str(folder)})


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
    model = Model(kind="cross-encoder", source=str(tmp_path))
    if reason is None:
        assert open_original(model, tmp_path).max_tokens == 64
        assert TorchOriginal(tmp_path, "cross-encoder", None).max_tokens == 64
        return
    told = f"{reason}.*; write backend: sentence-transformers"
    with pytest.raises(CannotPrepare, match=told):
        open_original(model, tmp_path)
    with pytest.raises(CannotPrepare, match=told):
        TorchOriginal(tmp_path, "cross-encoder", None)


def test_parts_that_are_no_graph_are_refused_by_name(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "apple": 1, "tree": 2}, unk_token="[UNK]"))
    static = StaticEmbedding(tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[static]).save(str(tmp_path / "static"))
    with pytest.raises(CannotPrepare, match="StaticEmbedding"):
        open_original(Model(kind="bi-encoder", source="./static"), tmp_path / "static")
    with pytest.raises(CannotPrepare, match="StaticEmbedding"):
        TorchOriginal(tmp_path / "static", "bi-encoder", None)


def test_a_worker_ends_with_the_process_that_ordered_it(
    tiny_cross_encoder: Model, tmp_path: Path
) -> None:
    model = tiny_cross_encoder.model_copy(update={"precision": "f32", "max_tokens": 32})
    order = {
        "model": model.model_dump(),
        "source": model.source,
        "key": "k",
        "cache": str(tmp_path),
        "crashed": {},
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
    assert read_manifest(folder).forms == ("int8", "f32", "int8-fixed")
    parity = verdict_of(folder).parity
    assert parity.spearman_mean >= 0.998
    assert parity.top_10 >= 0.95
    assert read_manifest(folder).dimensions == 384
    # The readings of word pieces are the student's, and come later.
    files = [path for path in folder.iterdir() if path.name != "readings.npz"]
    assert sum(path.stat().st_size for path in files) < 117e6


def test_a_bi_encoder_reads_each_word_piece(tmp_path: Path) -> None:
    source = build_bi_encoder(tmp_path / "published", prompts={"document": "text: "})
    folder, _ = prepare(Model(kind="bi-encoder", source=str(source), precision="f32"), tmp_path)
    manifest = read_manifest(folder)
    backend = load_prepared(folder, manifest, "k", Way("f32", "f32"), threads=1)
    assert isinstance(backend, GraphBiEncoder)
    assert not backend.readings.exists()  # only a model with a student needs them
    write_readings(backend.read_each_piece(MOST_READINGS), backend.readings)
    readings = read_readings(backend.readings, manifest.dimensions)
    assert readings is not None
    letters = ["b", "7", "?"]
    [rows] = np.array(backend.read_pieces(letters)).T
    alone = backend.embed_passages(letters)
    assert np.allclose(readings[rows] - readings[rows[0]], alone - alone[0], atol=0.02)
