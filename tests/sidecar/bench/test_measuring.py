"""Figures of a measurement, and the end of the process beside it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.plan import DocumentFields, Plan, Stage
from sidecar.bench.measuring import StandInFailed, resident_mb, stand_in
from sidecar.bench.stand_in import SearchLoad

GROWS = """
from sidecar.bench.MODULE import resident_mb
before = resident_mb()
block = bytearray(b"x") * 80_000_000
print(before, resident_mb(), len(block))
"""


def test_memory_is_this_processs_own() -> None:
    # In a process of its own: what other tests have left may be given back meanwhile.
    script = GROWS.replace("MODULE", resident_mb.__module__.rpartition(".")[2])
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    before, after, _ = map(float, told.split())
    assert 10 < before < 1000
    assert 70 < after - before < 120


async def test_a_stand_in_that_ends_early_is_an_error() -> None:
    plan = Plan(document=DocumentFields(body=("text",)), stages=(Stage(model="m"),))
    with pytest.raises(StandInFailed):
        async with stand_in(plan) as beside:
            # Nothing listens there, so its first search fails.
            await beside.search("http://127.0.0.1:1", SearchLoad(windows=1, most=1))
