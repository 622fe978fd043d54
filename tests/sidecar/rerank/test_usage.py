"""Usage counters: they survive a restart, several sidecars may share a file."""

import sqlite3
from pathlib import Path

import pytest

from sidecar.metrics import Metrics
from sidecar.rerank.usage import Usage, UsageFileError


def shown(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"rescore_api_{name}_total", labels)


async def test_counts_come_back_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "new" / "usage.sqlite"
    for run in (1, 2, 3):
        metrics = Metrics()
        usage = Usage(metrics, file)
        async with usage.saved():
            usage.count("v1", "shop", "ok", 10, 200)
            usage.count("v1", "shop", "overload")
            usage.count("tei", "shop", "ok", 1, 2)
            assert shown(metrics, "requests", api="v1", key="shop", outcome="ok") == run
            assert shown(metrics, "requests", api="v1", key="shop", outcome="overload") == run
            assert shown(metrics, "documents", api="v1", key="shop") == 10 * run
            assert shown(metrics, "tokens", api="tei", key="shop") == 2 * run


async def test_two_sidecars_add_to_one_file(tmp_path: Path) -> None:
    file = tmp_path / "usage.sqlite"
    one, two = Usage(Metrics(), file), Usage(Metrics(), file)
    async with one.saved(), two.saved():
        one.count("v1", "shop", "ok", 1, 1)
        two.count("v1", "shop", "ok", 2, 2)
    with sqlite3.connect(file) as connection:
        rows = connection.execute("SELECT requests, documents, tokens FROM usage").fetchall()
    connection.close()
    assert rows == [(2, 3, 3)]


async def test_without_a_file_they_are_in_memory() -> None:
    metrics = Metrics()
    usage = Usage(metrics, None)
    async with usage.saved():
        usage.count("v1", "shop", "ok", 1, 1)
    assert shown(metrics, "requests", api="v1", key="shop", outcome="ok") == 1


async def test_a_file_that_is_something_else_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "usage.sqlite"
    file.write_text("notes, and more notes " * 100)
    with pytest.raises(UsageFileError, match="move the file away"):
        async with Usage(Metrics(), file).saved():
            pass
    with pytest.raises(UsageFileError):
        async with Usage(Metrics(), tmp_path).saved():
            pass
