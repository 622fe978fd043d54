import asyncio
import socket
from collections.abc import Awaitable, Callable
from math import log2

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from sidecar.evaluation import Answer, SearchFailed, compare, run_queries

Handler = Callable[[web.Request], Awaitable[web.Response]]


def server(handle: Handler) -> TestServer:
    app = web.Application()
    app.router.add_post("/index/_search", handle)
    return TestServer(app)


async def echo(request: web.Request) -> web.Response:
    """Hits named after the words of the query."""
    words = (await request.json())["query"].split()
    return web.json_response(
        {"hits": {"hits": [{"_id": word} for word in words]}},
        headers={"X-Rescore": "applied; plan=p"},
    )


async def test_every_query_is_sent_and_its_order_kept() -> None:
    calls: list[None] = []
    async with server(echo) as cluster, ClientSession() as session:
        answers = await run_queries(
            session,
            str(cluster.make_url("/index/_search")),
            {"1": {"query": "b a"}, "2": {"query": "c"}, "3": {"query": ""}},
            concurrency=2,
            on_answer=lambda: calls.append(None),
        )

    assert {query: answer.ranked_ids for query, answer in answers.items()} == {
        "1": ("b", "a"),
        "2": ("c",),
        "3": (),
    }
    assert {answer.outcome for answer in answers.values()} == {"applied; plan=p"}
    assert all(0 < answer.seconds < 60 for answer in answers.values())
    assert len(calls) == 3


async def test_so_many_searches_as_allowed_run_at_once_and_no_more() -> None:
    running, most = 0, 0
    # Nobody gets an answer before three are there.
    together = asyncio.Barrier(3)

    async def handle(request: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await together.wait()
        running -= 1
        return await echo(request)

    async with server(handle) as cluster, ClientSession() as session:
        bodies = {str(number): {"query": "a"} for number in range(9)}
        url = str(cluster.make_url("/index/_search"))
        answers = await run_queries(session, url, bodies, concurrency=3)

    assert len(answers) == 9
    assert most == 3


async def test_a_refused_search_ends_it_with_the_clusters_words() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"error": "no such index"}, status=404)

    async with server(handle) as cluster, ClientSession() as session:
        with pytest.raises(SearchFailed, match='_search: status 404: {"error": "no such index"}'):
            await run_queries(
                session,
                str(cluster.make_url("/index/_search")),
                {str(number): {} for number in range(5)},
                concurrency=2,
            )


async def test_an_address_where_nobody_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/index/_search"
    async with ClientSession() as session:
        with pytest.raises(SearchFailed, match=url):
            await run_queries(session, url, {"1": {}})


def answer(ids: str, seconds: float = 0.001, outcome: str | None = None) -> Answer:
    return Answer(tuple(ids), seconds, outcome)


def test_both_sides_are_judged_over_every_judged_query() -> None:
    qrels = {"1": {"b": 1}, "2": {"a": 1}, "3": {"c": 1}, "4": {"x": 1}}
    direct = {"1": answer("ab"), "2": answer("ab"), "3": answer("abc"), "4": answer("ab")}
    # The second is harmed; the fourth is missing, where neither side has found anything.
    rescored = {"1": answer("ba"), "2": answer("ba"), "3": answer("bac")}

    comparison = compare(qrels, direct, rescored)

    second, third = 1 / log2(3), 1 / log2(4)
    assert comparison.direct.ndcg == pytest.approx((second + 1 + third) / 4)
    assert comparison.rescored.ndcg == pytest.approx((1 + second + third) / 4)
    assert comparison.direct.reciprocal_rank == pytest.approx((1 / 2 + 1 + 1 / 3) / 4)
    assert comparison.gains == pytest.approx({"1": 1 - second, "2": second - 1, "3": 0.0, "4": 0.0})
    assert (comparison.helped, comparison.harmed) == (1, 1)


def test_only_the_first_ten_hits_count() -> None:
    comparison = compare(
        {"1": {"k": 1}}, {"1": answer("abcdefghijk")}, {"1": answer("kabcdefghij")}
    )

    assert comparison.direct.ndcg == 0
    assert comparison.rescored.ndcg == 1


def test_times_are_in_milliseconds() -> None:
    times = {"1": answer("a", 0.001), "2": answer("a", 0.002), "3": answer("a", 0.009)}

    comparison = compare({"1": {"a": 1}}, times, times)

    assert comparison.direct.median_ms == pytest.approx(2)
    assert comparison.direct.mean_ms == pytest.approx(4)


def test_outcomes_are_counted_by_status_and_reason() -> None:
    headers = [
        "applied; plan=p; window=50; scored=50; model=m; ms=3.4",
        "applied; plan=p; window=50; scored=50; model=m; ms=3.9",
        "partial; plan=p; reason=deadline; scored=8",
        None,
    ]
    rescored = {str(n): answer("a", outcome=header) for n, header in enumerate(headers)}

    assert compare({"1": {"a": 1}}, rescored, rescored).outcomes == {
        "applied": 2,
        "partial reason=deadline": 1,
        "not routed": 1,
    }
