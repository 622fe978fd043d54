"""Runs the tests of the models as other processors would: `python tools/processors.py`.

Each run forces the floats that count as quick (bf16, f32) and the most that oneDNN may use
(ONEDNN_MAX_CPU_ISA). Last, where `qemu-x86_64` is installed (Debian's package `qemu-user`), the
gate runs on a processor without AVX-512 that is emulated whole, which OpenVINO cannot detect.
Each run takes half a minute to a few minutes. The exit status is 1 if one fails. In continuous
integration `tests/sidecar/models/test_processors.py` runs the gate under each limit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sidecar.models.backends import processor  # noqa: E402
from tests.sidecar.models.test_processors import LIMITS  # noqa: E402
from tests.tiny_cross_encoder import build_cross_encoder  # noqa: E402

TESTS = [
    f"tests/sidecar/models/{name}.py"
    for name in ("preparing/test_worker", "test_loading", "test_scorer_contract", "test_verdicts")
]
# Below these OpenVINO's own code and oneDNN disagree about the processor; see test_processors.py.
CONSISTENT = {
    "f32": ("", "AVX512_CORE_BF16", "AVX512_CORE_VNNI", "AVX512_CORE"),
    "bf16": ("", "AVX512_CORE_BF16", "AVX512_CORE_VNNI"),
}
EMULATED = "Haswell"  # AVX2, and no multiplication of bytes of its own
PROGRAM = ["-m", "tests.sidecar.models.on_processor"]


def main() -> int:
    """Run all; returns the exit status."""
    failed = 0
    for floats in ("f32", "bf16"):
        for limit in ("", *LIMITS):
            name = f"floats {floats}, oneDNN at most {limit or 'all'}"
            if limit and LIMITS[limit] not in processor.flags():
                _tell(name, f"not run: this processor has no {LIMITS[limit]}")
            elif limit not in CONSISTENT[floats]:
                _tell(name, "not run: OpenVINO's own code heeds no limit and cannot work with it")
            else:
                failed += _run_tests(name, floats, limit)
    return min(1, failed + _emulate())


def _run_tests(name: str, floats: str, limit: str) -> bool:
    """Whether the tests of the models fail under these limits."""
    path = os.pathsep.join([str(ROOT / "tests" / "forced_floats"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "FORCED_FLOATS": floats}
    environment.pop(processor.LIMIT, None)
    if limit:
        environment[processor.LIMIT] = limit
    done = _run([sys.executable, "-m", "pytest", "-q", *TESTS], environment)
    lines = done.stdout.splitlines()
    _tell(name, lines[-1] if lines else done.stderr[-300:])
    print(*(line for line in lines if line.startswith(("FAILED", "ERROR"))), sep="\n", end="")
    return done.returncode != 0


def _emulate() -> bool:
    """Whether the gate fails on the emulated processor."""
    name = f"emulated {EMULATED}"
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        _tell(name, "not run: there is no qemu-x86_64; install Debian's package qemu-user")
        return False
    environment = {key: text for key, text in os.environ.items() if key != processor.LIMIT}
    environment["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights")
        weights.mkdir()
        build_cross_encoder(weights, ["red", "apple", "tree"])
        made = _run([sys.executable, *PROGRAM, "prepare", str(weights), folder], environment)
        if made.returncode:
            _tell(name, f"failed: {made.stderr[-300:]}")
            return True
        command = [emulator, "-cpu", EMULATED, sys.executable, *PROGRAM, "judge", folder, "bf16"]
        judged = _run(command, environment)
    lines = judged.stdout.splitlines()
    _tell(name, "\n    ".join(lines) or judged.stderr[-300:])
    return judged.returncode != 0 or sum('"refused": null' in line for line in lines) != 3


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def _tell(name: str, outcome: str) -> None:
    print(f"{name}: {outcome}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
