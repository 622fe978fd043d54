"""Variants over one window: the ranking core's own orders, and a model that reads a text once."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from pipelines.errors import ModelFailed
from pipelines.fusion_methods import RelativeFusion, ReplaceFusion
from pipelines.plan import DocumentFields, Plan, Stage
from pipelines.scoring import Scorer
from sidecar.evaluation.offline import Window, fetch_window, order_by_plans
from sidecar.evaluation.searching import SearchFailed
from sidecar.opensearch.search_response import read_search_response

PLAN = Plan(
    document=DocumentFields(body=("body",)),
    rescore_window=4,
    stages=(Stage(model="m"),),
    fusion=ReplaceFusion(),
)
BODIES = ["apple", "apple apple", "apple apple apple", "none", "apple apple apple apple"]


class Counting(Scorer):
    """Scores a text by its apples, and keeps what it was asked."""

    def __init__(self) -> None:
        self.read: list[str] = []

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float]:
        self.read += texts
        return [float(text.count("apple")) for text in texts]


def response(bodies: Sequence[str] = BODIES) -> bytes:
    hits = [
        {"_index": "i", "_id": str(n), "_score": 9.0 - n, "_source": {"body": body}}
        for n, body in enumerate(bodies)
    ]
    whole = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"max_score": 9, "hits": hits}}
    return json.dumps(whole).encode()


async def test_each_plan_has_its_order_and_each_text_is_read_once() -> None:
    window, scorer = Window("apple", read_search_response(response())), Counting()
    smaller = PLAN.model_copy(update={"rescore_window": 2})
    larger = PLAN.model_copy(update={"rescore_window": 5})
    untouched = PLAN.model_copy(update={"fusion": RelativeFusion(weight=0)})

    orders = await order_by_plans(window, [PLAN, smaller, larger, untouched], scorer)

    assert window.ranked_ids == ("0", "1", "2", "3", "4")
    assert orders == [
        ("2", "1", "0", "3", "4"),
        ("1", "0", "2", "3", "4"),
        ("4", "2", "1", "0", "3"),
        ("0", "1", "2", "3", "4"),
    ]
    assert sorted(scorer.read) == sorted(BODIES)


async def test_words_are_weighed_whatever_plan_comes_first() -> None:
    bodies = ["one", "two", "red apple", "three"]
    window = Window("red apple", read_search_response(response(bodies)))
    without = PLAN.model_copy(update={"fusion": RelativeFusion(weight=0)})
    with_words = PLAN.model_copy(update={"fusion": RelativeFusion(weight=0, lexical=1.0)})
    both = await order_by_plans(window, [without, with_words], Counting())
    assert both == [("0", "1", "2", "3"), ("2", "0", "1", "3")]
    assert await order_by_plans(window, [with_words, without], Counting()) == both[::-1]


async def test_hits_without_text_keep_their_order() -> None:
    window = Window("apple", read_search_response(response(["", ""])))
    assert await order_by_plans(window, [PLAN], Counting()) == [("0", "1")]


async def test_a_model_that_fails_ends_it() -> None:
    class Broken(Counting):
        async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float]:
            raise ModelFailed("no more")

    with pytest.raises(ModelFailed):
        await order_by_plans(Window("apple", read_search_response(response())), [PLAN], Broken())


async def test_a_window_is_fetched_with_the_text_that_the_plan_reads() -> None:
    asked: list[dict[str, object]] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.Response(body=response(), content_type="application/json")

    app = web.Application()
    app.router.add_post("/docs/_search", handle)
    query = {"match": {"body": "red apple"}}
    async with TestServer(app) as server, ClientSession() as session:
        url = str(server.make_url("/docs/_search"))
        body = {"query": query, "size": 5, "_source": False}
        window = await fetch_window(session, url, body, PLAN)
        with pytest.raises(SearchFailed, match="left alone, reason=sort"):
            await fetch_window(session, url, {**body, "sort": ["_doc"]}, PLAN)

    assert asked == [{"query": query, "size": 5, "_source": ["body"]}]
    assert window.query_text == "red apple"
    assert window.ranked_ids == ("0", "1", "2", "3", "4")
