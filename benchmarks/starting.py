"""Start and memory of the serving process, with one prepared model and nothing stored."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Bar, Part, Table, spread
from benchmarks.serving import serving
from benchmarks.weights import SOURCE

_HOW = (
    "`sidecar serve` with all-MiniLM-L6-v2, prepared, and an empty store: from its first"
    " instruction to `ready` (every shape of the model was read once), and its memory then."
)
_MODEL = {"kind": "bi-encoder", "source": SOURCE}
_PLAN = {"document": {"title": "title", "body": "text"}, "stages": [{"model": "minilm"}]}


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Several starts. The first one prepares the model if it is not prepared yet."""
    seconds, memory, peak = [], [], []
    for number in range(2 if quick else 6):
        step(f"start {number}")
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(
                Path(folder) / "sidecar",
                "http://127.0.0.1:9",
                {"minilm": _MODEL},
                {"plan": _PLAN},
                {"docs": "plan"},
            ) as served,
        ):
            if number == 0:
                continue
            seconds.append(served.start_seconds)
            memory.append(served.memory_mb())
            peak.append(served.memory_mb("VmHWM"))
    memory_figure = spread(memory, " MB", 0)
    return Part(
        name="start",
        title="Start and memory",
        how=_HOW,
        tables=(
            Table(
                "The serving process",
                ("", "measured"),
                (
                    ("start, until ready", spread(seconds, " s")),
                    ("memory when ready", memory_figure),
                    ("memory at its peak", spread(peak, " MB", 0)),
                ),
            ),
        ),
        bars=(
            Bar(
                "memory of the serving process, MiniLM prepared, empty store",
                memory_figure,
                "most",
                450,
                300,
            ),
        ),
    )
