"""Calls that are read together: common texts once, errors for their own calls alone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.errors import DeadlinePassed, Overloaded
from sidecar.ray.batching import BatchedModel, PairCall, VectorCall

FAR = math.inf


class Model:
    """A model whose vector of a text is its length. It notes what it reads."""

    def __init__(self) -> None:
        self.read: list[tuple[object, list[str]]] = []
        self.unread: set[str] = set()

    dimensions = 1

    async def embed(
        self, texts: Sequence[str], deadline: float, *, as_queries: bool
    ) -> list[NDArray[np.float32]]:
        self.read.append((as_queries, list(texts)))
        if self.unread & set(texts):
            raise Overloaded("busy")
        return [np.array([len(text)], np.float32) for text in texts]

    async def score(self, model: str, query: str, texts: Sequence[str]) -> list[float | None]:
        self.read.append((query, list(texts)))
        return [None if text in self.unread else len(query) * len(text) for text in texts]

    def bi_encoder(self, name: str) -> Model:
        return self

    def scorer(self, deadline: float | None) -> Any:
        return self


def all_at_once(read: Callable[[list[Any]], Awaitable[list[Any]]]) -> Callable[[Any], Any]:
    """Collects the calls of one turn of the event loop."""
    waiting: list[tuple[Any, asyncio.Future[Any]]] = []

    async def read_all() -> None:
        await asyncio.sleep(0)
        batch, waiting[:] = list(waiting), []
        for (_, future), value in zip(batch, await read([c for c, _ in batch]), strict=True):
            if not future.done():
                future.set_result(value)

    async def call(one: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        waiting.append((one, future))
        if len(waiting) == 1:
            task = asyncio.get_running_loop().create_task(read_all())
            await task
        return await future

    return call


async def test_texts_of_several_calls_are_one_reading() -> None:
    model = Model()
    batched = BatchedModel("m", model, all_at_once)
    calls = [VectorCall((letter, "both"), False, FAR) for letter in ("a", "bb")]
    queries = VectorCall(("what", "who"), True, FAR)
    vectors = await asyncio.gather(*(batched.vectors(call) for call in [*calls, queries]))
    assert [[int(one[0]) for one in some] for some in vectors] == [[1, 4], [2, 4], [4, 3]]
    assert model.read == [(False, ["a", "both", "bb", "both"]), (True, ["what", "who"])]


async def test_one_text_does_not_wait_for_the_texts_of_others() -> None:
    model = Model()
    batched = BatchedModel("m", model, all_at_once)
    await asyncio.gather(
        batched.vectors(VectorCall(("a", "b"), False, FAR)),
        batched.vectors(VectorCall(("query",), False, FAR)),
    )
    assert sorted(texts for _, texts in model.read) == [["a", "b"], ["query"]]


async def test_pairs_of_one_query_are_one_reading() -> None:
    model = Model()
    batched = BatchedModel("m", model, all_at_once)
    calls = [
        PairCall("q", ("a", "bb"), FAR),
        PairCall("other", ("a",), FAR),
        PairCall("q", ("c",), FAR),
    ]
    scores = await asyncio.gather(*map(batched.scores, calls))
    assert scores == [[1, 2], [5], [1]]
    assert model.read == [("q", ["a", "bb", "c"]), ("other", ["a"])]


async def test_a_failure_is_for_the_calls_that_were_read_together() -> None:
    model = Model()
    model.unread = {"late"}
    batched = BatchedModel("m", model, all_at_once)
    calls = [PairCall("q", ("late",), FAR), PairCall("other", ("a",), FAR)]
    late, other = await asyncio.gather(*map(batched.scores, calls), return_exceptions=True)
    assert isinstance(late, DeadlinePassed)
    assert other == [5]
    with pytest.raises(Overloaded):
        await batched.vectors(VectorCall(("late",), False, FAR))


async def test_a_call_whose_caller_has_gone_is_not_read() -> None:
    model = Model()
    going_on = asyncio.Event()

    class Slow(Model):
        async def embed(
            self, texts: Sequence[str], deadline: float, *, as_queries: bool
        ) -> list[NDArray[np.float32]]:
            await going_on.wait()
            return await model.embed(texts, deadline, as_queries=as_queries)

    batched = BatchedModel("m", Slow(), all_at_once)
    async with asyncio.TaskGroup() as group:
        first, second, third = (
            group.create_task(batched.vectors(VectorCall((letter,) * 32, False, FAR)))
            for letter in "abc"
        )
        while not going_on.is_set():
            await asyncio.sleep(0)
            if second.cancel():
                await asyncio.wait({second})
                going_on.set()
    assert second.cancelled()
    assert [len(task.result()) for task in (first, third)] == [32, 32]
    assert [texts[0] for _, texts in model.read] == ["a", "c"]
