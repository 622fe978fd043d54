"""Prepared models on other processors: oneDNN with fewer instructions, floats of either size.

oneDNN heeds ONEDNN_MAX_CPU_ISA; OpenVINO's own code in the releases does not, it still sees all
instructions of the processor. Some pairs of the two cannot work; the sidecar has to notice and to
refuse these, and never to rank by what comes out. `tools/processors.py` runs more, and longer.
Source: https://github.com/openvinotoolkit/openvino/pull/38257
"""

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.config.main_file import Model
from sidecar.models.backends import processor
from sidecar.models.preparation import prepare_model
from sidecar.models.ways import Way
from tests.sidecar.models.on_processor import PRECISIONS

Judged = dict[str, str | None]

# From the most to the least, with the flag of a processor that has it.
LIMITS = {
    "AVX512_CORE_AMX": "amx_int8",
    "AVX512_CORE_BF16": "avx512_bf16",
    "AVX512_CORE_VNNI": "avx512_vnni",
    "AVX512_CORE": "avx512f",
    "AVX2": "avx2",
    "SSE41": "sse4_1",
}
# What the two say, or do, when they disagree about the processor.
DISAGREE = (
    "OpenVINO answered with 0 rows",
    "getSupportedPrimitiveDescriptors",
    "ended by signal",
)


@pytest.fixture(scope="module")
def judge(
    tiny_cross_encoder: Model, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Judged]:
    """Why each precision is refused, None when it passes, under a limit and with these floats."""
    cache = tmp_path_factory.mktemp("processors")
    program = "tests.sidecar.models.on_processor"

    def run(limit: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: text for name, text in os.environ.items() if name != processor.LIMIT}
        if limit:
            environment[processor.LIMIT] = limit
        return subprocess.run(
            [sys.executable, "-m", program, *arguments],
            capture_output=True,
            text=True,
            env=environment,
        )

    made = run("", "prepare", tiny_cross_encoder.source, str(cache))
    assert made.returncode == 0, made.stderr

    @functools.cache
    def judge_all(limit: str, floats: str) -> Judged:
        done = run(limit, "judge", str(cache), floats)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        judged: Judged = {line["precision"]: line["refused"] for line in lines}
        if done.returncode < 0:  # the precision that it was at, and those after it
            gone = dict.fromkeys(PRECISIONS, f"ended by signal {-done.returncode}")
            return gone | judged
        assert done.returncode == 0, done.stderr
        return judged

    return judge_all


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("floats", ["f32", "bf16"])
def test_it_ranks_as_the_original_with_all_instructions(
    judge: Callable[[str, str], Judged], floats: str, precision: str
) -> None:
    assert judge("", floats)[precision] is None


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("floats", ["f32", "bf16"])
@pytest.mark.parametrize("limit", LIMITS)
def test_with_fewer_instructions_it_ranks_as_the_original_or_is_refused(
    judge: Callable[[str, str], Judged], limit: str, floats: str, precision: str
) -> None:
    if platform.machine() != "x86_64":
        pytest.skip(f"{processor.LIMIT}: {platform.machine()} has other instructions")
    if LIMITS[limit] not in processor.flags():
        pytest.skip(f"this processor has no {LIMITS[limit]}, so that the limit {limit} is none")
    refused = judge(limit, floats)[precision]
    if refused is None:
        return
    assert precision != "f32" or limit == "SSE41", refused
    assert any(reason in refused for reason in DISAGREE), refused
    pytest.skip(f"oneDNN at most {limit}, floats in {floats}: {refused}")


@pytest.fixture(scope="module")
def prepared(tiny_cross_encoder: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was prepared with `precision: auto`."""
    source, cache = Path(tiny_cross_encoder.source), tmp_path_factory.mktemp("auto")
    return prepare_model(tiny_cross_encoder, source, "k", cache, lambda step: None)


@pytest.mark.parametrize(("limit", "floats"), [("", "bf16"), ("AVX2", "f32")])
def test_auto_decides_again_on_another_processor(
    prepared: Path, tmp_path: Path, limit: str, floats: str
) -> None:
    """Whatever is fastest there, it is one that passes, and the first machine's verdict stays."""
    if platform.machine() != "x86_64":
        pytest.skip(f"{processor.LIMIT}: {platform.machine()} has other instructions")
    folder = shutil.copytree(prepared, tmp_path / "k")
    move_to_unknown_processor(folder)
    [first] = folder.glob("verdict-*.json")
    before = first.read_bytes()
    environment = {name: text for name, text in os.environ.items() if name != processor.LIMIT}
    if limit:
        environment[processor.LIMIT] = limit
    done = subprocess.run(
        [sys.executable, "-m", "tests.sidecar.models.on_processor", "load", str(folder), floats],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert first.read_bytes() == before
    if limit and done.returncode < 0:
        pytest.skip(f"oneDNN at most {limit}: ended by signal {-done.returncode}")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    if limit and "refused" in verdict and isinstance(verdict["refused"], str):
        assert any(reason in verdict["refused"] for reason in DISAGREE), verdict
        pytest.skip(f"oneDNN at most {limit}: {verdict['refused']}")
    assert f"floats={floats}" in verdict["arithmetic"]
    assert (processor.LIMIT in verdict["arithmetic"]) is bool(limit)
    assert len(list(folder.glob("verdict-*.json"))) == 2
    way = Way(**verdict["way"])
    tried = set(verdict["milliseconds"]) or {way.precision}
    assert way.precision in tried
    if floats == "bf16":  # a way of its own there; it may drift or fail, and is named then
        assert "bf16" in tried or any("bf16" in reason for reason in verdict["refused"])


def move_to_unknown_processor(folder: Path) -> None:
    """As if the folder had been prepared on a processor that is not this one."""
    [path] = folder.glob("verdict-*.json")
    values = json.loads(path.read_text())
    path.unlink()
    other = folder / "verdict-0000000000000000.json"
    other.write_text(json.dumps({**values, "arithmetic": "another"}))
