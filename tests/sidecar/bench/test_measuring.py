"""Figures of a measurement, and the end of the process beside it."""

from __future__ import annotations

import pytest

from pipelines.plan import DocumentFields, Plan, Stage
from sidecar.bench.measuring import StandInFailed, resident_mb, stand_in
from sidecar.bench.stand_in import Searches


def test_memory_is_this_processs_own() -> None:
    before = resident_mb()
    assert 10 < before < 100_000
    block = bytearray(b"x") * 80_000_000
    assert 70 < resident_mb() - before < 120
    assert len(block) == 80_000_000


async def test_a_stand_in_that_ends_early_is_an_error() -> None:
    plan = Plan(document=DocumentFields(body=("text",)), stages=(Stage(model="m"),))
    with pytest.raises(StandInFailed):
        async with stand_in(plan) as beside:
            # Nothing listens there, so its first search fails.
            await beside.search("http://127.0.0.1:1", Searches(windows=1, most=1))
