"""The shadow log: one JSON object a line, a bounded file, and no error when the disk refuses."""

import asyncio
import json
from pathlib import Path

import pytest

from sidecar.adoption.shadow_log import ShadowLog
from sidecar.metrics import Metrics


async def write(log: ShadowLog, count: int) -> None:
    for number in range(count):
        log.write({"number": number, "query": "Füße \ud800"})
        await asyncio.sleep(0)
    await log.close()


def test_lines_are_json_and_the_file_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "shadow.jsonl"
    for _ in range(3):
        asyncio.run(write(ShadowLog(file, 2000, Metrics()), 30))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[-1] == {"number": 29, "query": "Füße \ufffd"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shadow.jsonl", "shadow.jsonl.1"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())


def test_a_folder_that_is_missing_costs_lines_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    asyncio.run(write(ShadowLog(tmp_path / "no" / "log", 1000, metrics), 5))
    assert metrics.registry.get_sample_value("rescore_shadow_lines_dropped_total") == 5
    assert len(caplog.records) == 1


def test_lines_beyond_the_bound_are_dropped(tmp_path: Path) -> None:
    metrics = Metrics()

    async def flood() -> None:
        log = ShadowLog(tmp_path / "log", 1 << 20, metrics)
        for number in range(1005):
            log.write({"number": number})
        log.write({"text": "x" * 5000})
        await log.close()

    asyncio.run(flood())
    assert len((tmp_path / "log").read_text().splitlines()) == 1000
    assert metrics.registry.get_sample_value("rescore_shadow_lines_dropped_total") == 6
