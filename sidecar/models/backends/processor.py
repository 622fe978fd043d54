"""The arithmetic of this processor: which floats are fast, and what affects a model's scores.

The same weights give slightly different scores on different processors. Where bf16 is fast, it
keeps eight bits of a float; and the instructions that multiply bytes round differently. So
a verdict of the gate is valid for processors with the same `arithmetic`.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

# The instruction sets that OpenVINO, oneDNN and ONNX Runtime choose from, by Linux's names.
_DECIDING = frozenset(
    (
        "avx avx2 avx512f avx512_fp16 avx512_bf16 avx512_vnni avx_vnni avx_vnni_int8 avx_ne_convert"
        " amx_bf16 amx_fp16 amx_int8 asimd asimdhp asimddp i8mm bf16 sve svebf16 svei8mm sme"
    ).split()
)
LIMIT = "ONEDNN_MAX_CPU_ISA"
"""Environment variable that hides instructions from oneDNN, a part of OpenVINO."""


def arithmetic() -> str:
    """What affects the scores on this processor, in words; equal words mean equal scores."""
    deciding = flags() & _DECIDING
    limit = os.environ.get(LIMIT)
    return " ".join(
        [
            platform.machine(),
            *sorted(deciding),
            f"floats={fast_float()}",
            *([f"{LIMIT}={limit}"] if limit else []),
        ]
    )


def fast_float() -> str:
    """`bf16` if the processor is faster with it than with `f32`, else `f32`.

    Intel processors have bf16 in two forms. Tile multiplication (AMX) is many times as fast as f32;
    the older instruction alone is slower than f32, with its conversions (1.6 times, measured).
    """
    here = flags()
    if platform.machine() in ("aarch64", "arm64"):
        return "bf16" if "bf16" in here else "f32"
    amd = "amd" in _processor_line("vendor_id").lower()
    return "bf16" if "amx_bf16" in here or (amd and "avx512_bf16" in here) else "f32"


def flags() -> frozenset[str]:
    """The instruction sets of this processor, by Linux's names; empty on other systems."""
    arm = platform.machine() in ("aarch64", "arm64")
    return frozenset(_processor_line("Features" if arm else "flags").split())


def _processor_line(field: str) -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == field:
                    return value
    except OSError:
        pass
    return ""
