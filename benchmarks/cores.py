"""How much the cores of this machine do together: they may be shared, or busy with other work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from benchmarks.figures import Part, Spread, Table, spread

_HOW = (
    "As many processes at once as there are cores, each with the same work of one thread, against"
    " one process alone: work done in the same time. Cores that share nothing, with nothing else to"
    " do, reach their number; where it is far from that, the other figures tell of other work."
)
_WORK = {
    "Python's own bytecode": "x = 0\nfor i in range(6_000_000): x += i * i % 7",
    "products of matrices, 32-bit floats": (
        "import numpy as np\na = np.ones((700, 700), np.float32)\nfor _ in range(120): a @ a"
    ),
}
_TIMED = "import time; started = time.perf_counter()\n{}\nprint(time.perf_counter() - started)"
# Below this share of their number, cores are not what other machines call a core.
_FULL_SHARE = 0.75
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Each kind of work, in one process and in several at once, in turn."""
    cores = len(os.sched_getaffinity(0))
    rows = []
    for what, work in _WORK.items():
        step(what)
        ratios = []
        for _ in range(2 if quick else 5):
            [alone] = _run(work, 1)
            ratios.append(cores * alone / max(_run(work, cores)))
        rows.append((what, spread(ratios, "x")))
    return Part(
        name="cores",
        title="The cores together",
        how=_HOW,
        tables=(
            Table(
                f"{cores} at once, against one", ("", "work done"), tuple(rows), _note(cores, rows)
            ),
        ),
    )


def _note(cores: int, rows: Sequence[tuple[str, Spread]]) -> str:
    """What to make of the figures if the cores do much less than their number says."""
    least = min(figure.median for _, figure in rows)
    if least >= _FULL_SHARE * cores:
        return ""
    return (
        f"These {cores} cores do the work of {least:.1f}: they are threads of fewer real cores, or"
        f" other work has a part of them. So no figure on this page is one of {cores} real cores."
    )


def _run(work: str, processes: int) -> list[float]:
    """Seconds that each of these simultaneous processes took."""
    command = [sys.executable, "-c", _TIMED.format(work)]
    started = [
        subprocess.Popen(  # noqa: S603 - the work above
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **_ONE_THREAD}
        )
        for _ in range(processes)
    ]
    return [float(process.communicate()[0]) for process in started]
