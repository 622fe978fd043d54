"""Models read from their files alone give the numbers that sentence-transformers gives."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar.config.main_file import Model
from sidecar.models.archives import unpack_archive
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.graphs import GraphBiEncoder, GraphCrossEncoder
from sidecar.models.backends.sentence_transformers import (
    SentenceTransformersBiEncoder,
    SentenceTransformersCrossEncoder,
)
from sidecar.models.known_models import find_reading
from sidecar.models.preparing.errors import NeedsTorch
from sidecar.models.preparing.original import FileOriginal, open_original
from sidecar.models.preparing.parity import bundled_texts
from sidecar.models.sources import find_weights
from tests.model_jars import BGE_SMALL, E5_SMALL_QUANTISED, model_jar
from tests.tiny_models import build_bi_encoder, export_onnx

COSINE = 0.99999
E5_PROMPTS = {"query": "query: ", "document": "passage: "}


def texts() -> list[str]:
    """Of many lengths, some longer than the tiny models read."""
    queries, passages = bundled_texts("bi-encoder")
    return [*queries[:4], *passages[::9], "a", "Red apple trees?"]


def assert_same_vectors(model: Model, folder: Path, work: Path) -> FloatArray:
    ours = FileOriginal(model, folder).load(work)
    assert isinstance(ours, GraphBiEncoder)
    reading = find_reading(model, folder)
    theirs = SentenceTransformersBiEncoder(folder, "", model.max_tokens, reading, device="cpu")
    assert ours.dimensions == theirs.dimensions
    for read in ("embed_queries", "embed_passages"):
        one = getattr(ours, read)(texts())
        other = getattr(theirs, read)(texts())
        assert (one * other).sum(axis=1).min() > COSINE
        assert np.linalg.norm(one, axis=1) == pytest.approx(1, abs=1e-5)
    vectors: FloatArray = ours.embed_passages(texts())
    return vectors


LAYOUTS: dict[str, Any] = {
    "minilm": {},
    "bge": {"pooling": "cls"},
    "e5": {"prompts": E5_PROMPTS},
    "gte": {"type_vocab_size": 2, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5},
    "max": {"pooling": "max"},
    "mean-sqrt": {"pooling": "mean_sqrt_len_tokens"},
    "with-a-linear-layer": {"dense": True},
    "roberta": {"architecture": "Roberta", "type_vocab_size": 1},
    "xlm-roberta": {"architecture": "XLMRoberta", "pooling": "cls"},
    "distilbert": {"architecture": "DistilBert"},
    "mpnet": {"architecture": "MPNet"},
    "mpnet-first-token": {"architecture": "MPNet", "pooling": "cls"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_equal_those_of_sentence_transformers(layout: str, tmp_path: Path) -> None:
    folder = build_bi_encoder(tmp_path / "published", **LAYOUTS[layout])
    work = tmp_path / "work"
    work.mkdir()
    model = Model(kind="bi-encoder", source=str(folder))
    vectors = assert_same_vectors(model, folder, work)
    # Not the same vector for every text, which would be equal whatever is computed.
    assert (vectors @ vectors.T).min() < 0.99


def test_prompts_are_the_models_then_the_main_files(tmp_path: Path) -> None:
    folder = build_bi_encoder(tmp_path / "published", prompts=E5_PROMPTS)
    model = Model(kind="bi-encoder", source=str(folder))
    original = FileOriginal(model, folder)
    assert (original.query_prompt, original.passage_prompt) == ("query: ", "passage: ")
    changed = model.model_copy(update={"query_prompt": "ask: ", "passage_prompt": ""})
    original = FileOriginal(changed, folder)
    assert (original.query_prompt, original.passage_prompt) == ("ask: ", "")
    work = tmp_path / "work"
    work.mkdir()
    assert_same_vectors(changed, folder, work)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_two_bytes_are_read(dtype: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    folder = build_bi_encoder(tmp_path / "published")
    whole = FileOriginal(Model(kind="bi-encoder", source=str(folder)), folder)
    work = tmp_path / "work"
    work.mkdir()
    expected = whole.load(work).embed_passages(texts())  # type: ignore[union-attr]
    AutoModel.from_pretrained(folder).to(getattr(torch, dtype)).save_pretrained(folder)
    small = FileOriginal(Model(kind="bi-encoder", source=str(folder)), folder)
    shutil.rmtree(work)
    work.mkdir()
    vectors = small.load(work).embed_passages(texts())  # type: ignore[union-attr]
    assert (vectors * expected).sum(axis=1).min() > 0.999
    assert not np.array_equal(vectors, expected)


@pytest.mark.parametrize("architecture", ["Bert", "Roberta", "DistilBert", "MPNet"])
def test_scores_of_pairs_equal_those_of_sentence_transformers(
    architecture: str, tmp_path: Path
) -> None:
    folder = build_cross_encoder(tmp_path, architecture)
    original = FileOriginal(Model(kind="cross-encoder", source=str(folder)), folder)
    work = tmp_path / "work"
    work.mkdir()
    ours = original.load(work)
    assert isinstance(ours, GraphCrossEncoder)
    theirs = SentenceTransformersCrossEncoder(folder, None, device="cpu")
    queries, passages = bundled_texts("cross-encoder")
    for query in queries:
        one, other = (m.score_pairs(query, passages[::9]) for m in (ours, theirs))
        assert one == pytest.approx(other, abs=1e-4)
        assert np.ptp(other) > 0.01


def build_cross_encoder(tmp_path: Path, architecture: str) -> Path:
    import torch
    import transformers

    folder = build_bi_encoder(tmp_path / "published", architecture)
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=1)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(6)
        model = getattr(transformers, f"{architecture}ForSequenceClassification")(config)
        for weights in model.parameters():
            if weights.dim() == 2:
                weights.normal_(0, 2 * weights.shape[1] ** -0.5)
    pairs = tmp_path / "pairs"
    model.save_pretrained(pairs)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(pairs)
    return pairs


def test_a_head_of_several_numbers_is_refused(tmp_path: Path) -> None:
    from transformers import AutoConfig, BertForSequenceClassification

    folder = build_bi_encoder(tmp_path / "published")
    config = AutoConfig.from_pretrained(folder, num_labels=3)
    BertForSequenceClassification(config).save_pretrained(folder)
    (folder / "modules.json").unlink()
    with pytest.raises(ValueError, match="gives 3 numbers a pair"):
        FileOriginal(Model(kind="cross-encoder", source=str(folder)), folder)


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("config.json", {"model_type": "albert"}, "architecture is albert"),
        ("config.json", {"hidden_act": "mish"}, "activation is mish"),
        ("config.json", {"position_embedding_type": "relative_key"}, "positions are relative_key"),
        ("config.json", {"num_hidden_layers": 3}, "the weights have no encoder.layer.2"),
        ("sentence_bert_config.json", {"new_setting": 1}, "sets new_setting"),
        ("1_Pooling/config.json", {"pooling_mode": "weightedmean"}, "pooling is weightedmean"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, r"pooling is cls \+ mean"),
    ],
)
def test_what_only_torch_understands_is_named(
    file: str, change: dict[str, object], told: str, tmp_path: Path
) -> None:
    folder = build_bi_encoder(tmp_path / "published")
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**config, **change}))
    with pytest.raises(NeedsTorch, match=told):
        FileOriginal(Model(kind="bi-encoder", source=str(folder)), folder)


def test_weights_of_a_part_in_torchs_own_form_need_torch(tmp_path: Path) -> None:
    folder = build_bi_encoder(tmp_path / "published", dense=True)
    weights = folder / "2_Dense" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(NeedsTorch, match="2_Dense has no model.safetensors"):
        FileOriginal(Model(kind="bi-encoder", source=str(folder)), folder)


@pytest.mark.parametrize(
    "change",
    [
        {"weight_map": {"a": "../../outside.safetensors"}},
        {"weight_map": 3},
        {},
    ],
)
def test_a_damaged_list_of_weights_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    folder = build_bi_encoder(tmp_path / "published")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(change))
    with pytest.raises(ValueError, match="damaged|another folder"):
        FileOriginal(Model(kind="bi-encoder", source=str(folder)), folder)


def test_weights_in_several_files_are_read(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = build_bi_encoder(tmp_path / "published")
    model = Model(kind="bi-encoder", source=str(folder))
    expected = FileOriginal(model, folder).scores(["apple"], ["red apple", "tree"])
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for part, members in parts.items():
        save_file({name: tensors[name] for name in members}, folder / part)
    index = {"weight_map": {name: part for part, members in parts.items() for name in members}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    original = FileOriginal(model, folder)
    assert np.array_equal(original.scores(["apple"], ["red apple", "tree"]), expected)


@pytest.fixture
def graph_folder(tmp_path: Path) -> tuple[Path, Path]:
    """A published folder, and one with its ONNX graph and tokenizer alone."""
    published = build_bi_encoder(tmp_path / "published", pooling="cls")
    graph = tmp_path / "graph"
    graph.mkdir()
    export_onnx(published, graph / "model.onnx")
    shutil.copy(published / "tokenizer.json", graph)
    return published, graph


def test_an_onnx_graph_gives_the_same_vectors(
    graph_folder: tuple[Path, Path], tmp_path: Path
) -> None:
    published, graph = graph_folder
    model = Model(kind="bi-encoder", source=str(graph), pooling="cls", max_tokens=48)
    assert find_weights(model, tmp_path) == graph
    work = tmp_path / "work"
    work.mkdir()
    ours = FileOriginal(model, graph).load(work)
    assert isinstance(ours, GraphBiEncoder)
    theirs = SentenceTransformersBiEncoder(published, "", None, device="cpu")
    one, other = ours.embed_passages(texts()), theirs.embed_passages(texts())
    assert (one * other).sum(axis=1).min() > COSINE


def test_a_graph_beside_weights_of_another_form_is_read(
    graph_folder: tuple[Path, Path], tmp_path: Path
) -> None:
    published, _ = graph_folder
    expected = FileOriginal(Model(kind="bi-encoder", source=str(published)), published)
    export_onnx(published, published / "onnx" / "model.onnx")
    (published / "model.safetensors").rename(published / "pytorch_model.bin")
    original = FileOriginal(Model(kind="bi-encoder", source=str(published)), published)
    assert original.scores(["apple"], ["red apple", "tree"]) == pytest.approx(
        expected.scores(["apple"], ["red apple", "tree"]), abs=1e-5
    )


def test_a_graph_of_token_vectors_needs_its_pooling(
    graph_folder: tuple[Path, Path], tmp_path: Path
) -> None:
    _, graph = graph_folder
    with pytest.raises(ValueError, match="write pooling: mean or pooling: cls"):
        FileOriginal(Model(kind="bi-encoder", source=str(graph)), graph)
    named = graph.rename(tmp_path / "bge-small-en-v1.5")
    original = FileOriginal(Model(kind="bi-encoder", source=str(named)), named)
    assert original.query_prompt.startswith("Represent this sentence")


def test_a_graph_is_no_cross_encoder_because_the_main_file_says_so(
    graph_folder: tuple[Path, Path],
) -> None:
    _, graph = graph_folder
    with pytest.raises(ValueError, match="gives no score for a pair$"):
        open_original(Model(kind="cross-encoder", source=str(graph)), graph)


def test_an_archive_is_read_like_a_folder(
    graph_folder: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, graph = graph_folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jar = tmp_path / "embeddings-bge-small-en-v15-1.0.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.write(graph / "model.onnx", "bge-small-en-v1.5.onnx")
        archive.write(graph / "tokenizer.json", "bge-small-en-v1.5-tokenizer.json")
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0")
    model = Model(kind="bi-encoder", source=f"./{jar.name}")
    folder = find_weights(model, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "tokenizer.json"]
    assert find_weights(model, tmp_path) == folder
    assert FileOriginal(model, folder).dimensions == 32
    assert unpack_archive(jar, tmp_path / "elsewhere").name == folder.name


def test_a_quantised_graph_is_read_in_floats(
    graph_folder: tuple[Path, Path], tmp_path: Path
) -> None:
    """As quantised, a text's vector would depend on the other texts of its batch."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    _, graph = graph_folder
    model = Model(kind="bi-encoder", source=str(graph), pooling="cls", max_tokens=48)
    works = [tmp_path / name for name in ("floats", "bytes")]
    for work in works:
        work.mkdir()
    expected = FileOriginal(model, graph).load(works[0]).embed_passages(texts())  # type: ignore[union-attr]
    quantize_dynamic(graph / "model.onnx", graph / "model.onnx", weight_type=QuantType.QInt8)
    ours = FileOriginal(model, graph).load(works[1])
    assert isinstance(ours, GraphBiEncoder)
    vectors = ours.embed_passages(texts())
    assert (vectors * expected).sum(axis=1).min() > 0.99
    assert not np.allclose(vectors, expected, atol=1e-4)
    alone = np.concatenate([ours.embed_passages([text]) for text in texts()])
    assert alone == pytest.approx(vectors, abs=1e-5)


@pytest.mark.model
@pytest.mark.parametrize(("artifact", "cosine"), [(BGE_SMALL, 0.99999), (E5_SMALL_QUANTISED, 0.99)])
def test_published_jars_equal_onnx_runtime(artifact: str, cosine: float, tmp_path: Path) -> None:
    """E5's graph is quantised: ONNX Runtime rounds the activations too, this project does not."""
    import onnxruntime
    from tokenizers import Tokenizer

    model = Model(kind="bi-encoder", source=str(model_jar(artifact)))
    folder = find_weights(model, tmp_path)
    original = FileOriginal(model, folder)
    backend = original.load(tmp_path)
    assert isinstance(backend, GraphBiEncoder)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in texts()[::4]:
        ids = np.array([tokenizer.encode(original.passage_prompt + text).ids])
        inputs = (ids, np.ones_like(ids), np.zeros_like(ids))
        names = ("input_ids", "attention_mask", "token_type_ids")
        [tokens] = session.run(None, dict(zip(names, inputs, strict=True)))
        vector = tokens[0, 0] if artifact == BGE_SMALL else tokens[0].mean(axis=0)
        [ours] = backend.embed_passages([text])
        assert vector @ ours / np.linalg.norm(vector) > cosine


@pytest.mark.model
def test_minilm_equals_sentence_transformers(minilm: Model, tmp_path: Path) -> None:
    assert_same_vectors(minilm, find_weights(minilm, tmp_path), tmp_path)
