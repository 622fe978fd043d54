"""Linear layers with fixed scales for their activations: near the original, or left alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.config.main_file import Model
from sidecar.models.backends.openvino import import_openvino
from sidecar.models.preparation import prepare_model
from sidecar.models.prepared import prepared_key, read_manifest
from sidecar.models.preparing.fixed_scales import (
    calibration_inputs,
    fix_scales,
    write_fixed_scales,
)
from tests.tiny_models import build_bi_encoder

CHANNELS = 32
# Some channels have far larger numbers than the others, some lie far from zero.
SPREAD = np.where(np.arange(CHANNELS) % 9 == 4, 40, 1).astype(np.float32)
MIDDLE = np.where(np.arange(CHANNELS) % 7 == 2, 25, 0).astype(np.float32)
WEIGHTS = np.random.default_rng(3).standard_normal((3, CHANNELS, CHANNELS)).astype(np.float32)
BIAS = np.random.default_rng(4).standard_normal(CHANNELS).astype(np.float32)

Batch = list[NDArray[Any]]


def tokens(seed: int) -> Batch:
    """Inputs of `build`: ids, mask, and the numbers that the layers read."""
    ids = np.zeros((1, 16), np.int64)
    rows = np.random.default_rng(seed).standard_normal((1, 16, CHANNELS)).astype(np.float32)
    return [ids, np.ones_like(ids), rows * SPREAD + MIDDLE]


def calibration() -> list[Batch]:
    return [tokens(seed) for seed in range(40)]


def build(bias: bool = True, rank: int = 3) -> Any:
    """Two layers that read the same, one after them, and their sum; the first may have a bias."""
    ov = import_openvino()
    ops = ov.opset15
    ids, mask = (ops.parameter([-1, -1], ov.Type.i64) for _ in range(2))
    rows = ops.parameter([-1, -1, CHANNELS], ov.Type.f32)
    source = rows if rank == 3 else ops.reduce_mean(rows, np.int64(1))
    first = ops.matmul(source, WEIGHTS[0], False, True)
    second = ops.matmul(source, np.ascontiguousarray(WEIGHTS[1].T), False, False)
    total = ops.add(ops.add(first, BIAS) if bias else first, second)
    return ov.Model([ops.matmul(total, WEIGHTS[2], False, True)], [ids, mask, rows])


def run(graph: Any, inputs: Batch) -> NDArray[np.float32]:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = import_openvino().Core().compile_model(graph, "CPU", settings)
    return np.array(compiled(inputs)[0], np.float32)


def types(graph: Any) -> list[str]:
    return [node.get_type_name() for node in graph.get_ordered_ops()]


@pytest.mark.parametrize("bias", [True, False])
def test_outputs_stay_near_although_some_channels_are_far_larger(bias: bool) -> None:
    graph, inputs = build(bias), tokens(90)
    expected = run(graph, inputs)
    assert fix_scales(graph, calibration()) == 3
    assert types(graph).count("FakeQuantize") == 2  # the first two layers share theirs
    difference = run(graph, inputs) - expected
    assert np.linalg.norm(difference) < 0.03 * np.linalg.norm(expected)


def test_rounding_does_not_move_the_mean() -> None:
    graph = build()
    batches = calibration()
    before = np.mean([run(graph, inputs).mean(axis=(0, 1)) for inputs in batches], axis=0)
    fix_scales(graph, batches)
    after = np.mean([run(graph, inputs).mean(axis=(0, 1)) for inputs in batches], axis=0)
    spread = run(build(), batches[0]).std(axis=(0, 1))
    assert (np.abs(after - before) < 0.01 * spread).all()


def test_a_layer_that_would_be_too_far_off_is_left_alone() -> None:
    graph = build()
    assert fix_scales(graph, [tokens(0)], most_error=0) == 0
    assert types(graph).count("MatMul") == 3
    assert "FakeQuantize" not in types(graph)


def test_layers_that_read_whole_texts_are_left_alone() -> None:
    graph = build(rank=2)
    assert fix_scales(graph, [tokens(0)]) == 0


def test_padding_has_no_part_in_the_ranges() -> None:
    inputs = tokens(90)
    padded = [array.copy() for array in inputs]
    padded[1][0, -1] = 0
    padded[2][0, -1] = 1e6
    expected = run(build(), inputs)
    graph = build()
    assert fix_scales(graph, [padded, *calibration()]) == 3
    difference = run(graph, inputs) - expected
    assert np.linalg.norm(difference) < 0.03 * np.linalg.norm(expected)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bi-encoder with random weights, stored in f32."""
    root = tmp_path_factory.mktemp("fixed-scales")
    source = build_bi_encoder(root / "published")
    model = Model(kind="bi-encoder", source=str(source), precision="f32")
    return prepare_model(model, source, prepared_key(model, source), root, lambda step: None)


def test_each_text_comes_once_more_with_random_pieces(prepared: Path) -> None:
    batches = list(calibration_inputs(prepared, read_manifest(prepared)))
    for inputs, others in zip(batches[::2], batches[1::2], strict=True):
        assert inputs[0].shape == others[0].shape
        assert (inputs[0] != others[0]).any()
        assert (inputs[1] == others[1]).all()
        length = inputs[1].sum()
        ends = [0, length - 1]
        assert (inputs[0][0, ends] == others[0][0, ends]).all()
        assert (inputs[0][0, length:] == others[0][0, length:]).all()


def test_the_graph_is_read_again_and_has_bytes(prepared: Path) -> None:
    manifest = read_manifest(prepared)
    write_fixed_scales(prepared, manifest)
    core = import_openvino().Core()
    inputs = next(calibration_inputs(prepared, manifest))
    vectors = [
        run(core.read_model(str(prepared / f"graph-{form}.xml")), inputs)
        for form in ("f32", "int8-fixed")
    ]
    assert float((vectors[0] * vectors[1]).sum()) > 0.999
    sizes = [(prepared / f"graph-{form}.bin").stat().st_size for form in ("f32", "int8-fixed")]
    assert sizes[1] < 0.7 * sizes[0]


def test_a_model_without_such_layers_is_refused(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.models.preparing.fixed_scales.fix_scales", lambda *arguments: 0)
    with pytest.raises(ValueError, match="no layer keeps its outputs"):
        write_fixed_scales(prepared, read_manifest(prepared))
