"""Models that share vectors in a real server: what goes wrong there costs no score."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.config.passage_store import PassageStoreSettings
from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.fake import FakeBiEncoder
from sidecar.models.passage_store import PassageStore
from sidecar.models.scorers import BiEncoderScorer
from sidecar.models.shared_store.connecting import open_shared_client
from sidecar.models.shared_store.shared_vectors import SharedVectors
from tests.valkey_server import ValkeyServer, running_valkey

TEXTS = [f"apple tree {n}" for n in range(40)]
PATIENT_S = 30.0


class CountingBiEncoder(FakeBiEncoder):
    """Counts the passages that it reads."""

    passages_read = 0

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        self.passages_read += len(texts)
        return super().embed_passages(texts)


class Replica:
    """One sidecar's model, with its own memory and metrics."""

    def __init__(self, url: str, timeout_s: float, answer_s: float) -> None:
        self.backend = CountingBiEncoder()
        self.metrics = Metrics()
        self.store = PassageStore(self.backend.dimensions, 1 << 20)
        self.shared = SharedVectors(
            "m",
            self.backend.identity,
            self.store,
            open_shared_client(PassageStoreSettings(url=url), Path(), answer_s),
            self.metrics,
            timeout_s=timeout_s,
            ttl_s=3600,
        )
        self.scorer = BiEncoderScorer(
            "m", self.backend, self.store, self.metrics, shared=self.shared
        )

    def count(self, what: str, **labels: str) -> float:
        name = f"rescore_shared_store_{what}"
        return self.metrics.registry.get_sample_value(name, {"model": "m", **labels}) or 0.0


@asynccontextmanager
async def replica(
    url: str, timeout_s: float = PATIENT_S, answer_s: float = PATIENT_S
) -> AsyncIterator[Replica]:
    one = Replica(url, timeout_s, answer_s)
    try:
        yield one
    finally:
        await asyncio.to_thread(one.scorer.close)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def scores_without_sharing() -> list[float | None]:
    backend = FakeBiEncoder()
    scorer = BiEncoderScorer("m", backend, PassageStore(backend.dimensions, 1 << 20), Metrics())
    try:
        return await scorer.score("apple", TEXTS, None)
    finally:
        await asyncio.to_thread(scorer.close)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with running_valkey(tmp_path) as running:
        yield running


async def test_what_one_has_read_another_scores_without_its_model(server: ValkeyServer) -> None:
    async with replica(server.url) as first, replica(server.url) as second:
        scores = await first.scorer.score("apple", TEXTS, None)
        await first.scorer.flush()
        assert first.count("writes_total", outcome="written") == len(TEXTS)
        assert await second.scorer.score("apple", TEXTS, None) == scores
        assert second.backend.passages_read == 0
        assert second.count("passages_total", result="hit") == len(TEXTS)
        assert second.count("requests_total", outcome="in_time") == 1
    with server.client() as client:
        keys = client.keys()
        assert all(0 < client.ttl(key) <= 3600 for key in keys)
        assert not any(b"apple" in key + client.get(key) for key in keys)


async def test_a_window_asks_once_and_memory_comes_first(server: ValkeyServer) -> None:
    async with replica(server.url) as one:
        with server.client() as client:
            await one.scorer.score("apple", TEXTS, None)
            await one.scorer.score("tree", TEXTS, None)
            assert client.info("commandstats")["cmdstat_mget"]["calls"] == 1


async def test_warming_writes_what_memory_had_before(server: ValkeyServer) -> None:
    async with replica(server.url) as one, replica(server.url) as other:
        await one.scorer.fill(TEXTS)
        with server.client() as client:
            assert client.dbsize() == len(TEXTS)
            client.flushall()
            await one.scorer.fill(TEXTS)
            assert client.dbsize() == len(TEXTS)
        assert await other.scorer.fill(TEXTS) == 0
        assert other.backend.passages_read == 0


async def test_wrong_values_are_counted_and_never_used(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with replica(server.url) as first, replica(server.url) as second:
        scores = await first.scorer.score("apple", TEXTS, None)
        await first.scorer.flush()
        with server.client() as client:
            keys = sorted(client.keys())
            values = [client.get(key) for key in keys]
            wrong = [values[0][:-1], b"", b"foreign", values[1], values[3][:9] + b"\1" * 30]
            for key, value in zip(keys, wrong, strict=False):
                client.set(key, value)
            client.delete(keys[5])
            client.lpush(keys[5], "a list")  # MGET answers nil for it
        assert await second.scorer.score("apple", TEXTS, None) == scores
        assert second.backend.passages_read == len(wrong) + 1
        assert second.count("passages_total", result="wrong") == len(wrong)
        assert second.count("passages_total", result="miss") == 1
        assert "are wrong and are not used" in caplog.text


async def test_a_search_goes_on_while_the_server_is_silent(server: ValkeyServer) -> None:
    async with replica(server.url) as first, replica(server.url, 0.002, 0.5) as second:
        scores = await first.scorer.score("apple", TEXTS, None)
        await first.scorer.flush()
        server.stop_answering()
        try:
            assert await second.scorer.score("apple", TEXTS, None) == scores
            assert second.count("requests_total", outcome="late") == 1
            number = 0
            while not second.count("stopped"):
                number += 1
                more = [f"pear {number} {place}" for place in range(3)]
                await second.scorer.score("pear", more, None)
            await second.scorer.score("plum", ["a plum"], None)
            assert second.count("requests_total", outcome="not_sent") >= 1
        finally:
            server.answer_again()


async def test_a_late_answer_serves_the_next_search(server: ValkeyServer) -> None:
    async with replica(server.url) as first, replica(server.url, 0.0) as second:
        await first.scorer.score("apple", TEXTS, None)
        await first.scorer.flush()
        await second.shared.fetch(TEXTS, None)
        await until(lambda: len(second.store) == len(TEXTS))
        await second.scorer.score("apple", TEXTS, None)
        assert second.backend.passages_read == 0


async def test_a_killed_server_costs_nothing_and_is_used_again(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with replica(server.url) as one:
        scores = await scores_without_sharing()
        await one.scorer.score("apple", TEXTS[:5], None)
        await one.scorer.flush()
        server.kill()
        assert await one.scorer.score("apple", TEXTS, None) == scores
        number = 0
        while not one.count("stopped"):
            number += 1
            assert None not in await one.scorer.score("pear", [f"pear {number}"], None)
        assert one.count("requests_total", outcome="failed") >= 1
        assert caplog.text.count("does not answer") == 1  # one line a minute
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            while one.count("writes_total", outcome="written") <= 5:
                number += 1
                await one.scorer.score("plum", [f"plum {number}"], None)
        assert not one.count("stopped")


async def test_a_flushed_server_is_a_miss(server: ValkeyServer) -> None:
    async with replica(server.url) as first, replica(server.url) as second:
        scores = await first.scorer.score("apple", TEXTS, None)
        await first.scorer.flush()
        with server.client() as client:
            client.flushall()
        assert await second.scorer.score("apple", TEXTS, None) == scores
        assert second.backend.passages_read == len(TEXTS)
        assert second.count("passages_total", result="miss") == len(TEXTS)


async def test_a_full_server_refuses_and_nobody_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = ("--maxmemory", "1mb", "--maxmemory-policy", "noeviction")
    with running_valkey(tmp_path, options) as server:
        async with replica(server.url) as one:
            many = [f"plum tree {number}" for number in range(4000)]
            assert None not in await one.scorer.score("plum", many, None)
            await until(lambda: one.count("writes_total", outcome="refused") > 0)
            assert not one.count("stopped")
            assert "refuses new vectors" in caplog.text
            assert None not in await one.scorer.score("pear", TEXTS, None)
