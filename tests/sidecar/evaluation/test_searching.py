import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from sidecar.evaluation.searching import RankedAnswer, SearchFailed, run_queries, warm_up

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


async def test_an_answer_that_is_no_search_response_is_told() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"tagline": "The OpenSearch Project"})

    async with server(handle) as cluster, ClientSession() as session:
        with pytest.raises(SearchFailed, match="not a search response: {.tagline"):
            await run_queries(session, str(cluster.make_url("/index/_search")), {"1": {}})


async def test_an_id_of_two_indexes_counts_once() -> None:
    async with server(echo) as cluster, ClientSession() as session:
        url = str(cluster.make_url("/index/_search"))
        answers = await run_queries(session, url, {"1": {"query": "a b a c"}})
    assert answers["1"].ranked_ids == ("a", "b", "c")


def reporting(outcomes: dict[str, list[str]]) -> tuple[TestServer, list[str]]:
    """A server that gives each query its outcomes in turn, the last one for ever."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        query = (await request.json())["query"]
        asked.append(query)
        mine = outcomes[query]
        outcome = mine.pop(0) if len(mine) > 1 else mine[0]
        return web.json_response({"hits": {"hits": []}}, headers={"X-Rescore": outcome})

    return server(handle), asked


async def test_getting_warm_means_to_ask_until_all_is_scored() -> None:
    late = ["failed; reason=deadline; plan=p", "failed; reason=overload; plan=p"]
    late += [f"partial; reason=deadline; plan=p; scored={n}; model=m" for n in (8, 40)]
    cluster, asked = reporting({"a": [*late, "applied; plan=p"], "b": ["skipped; reason=sort"]})
    async with cluster, ClientSession() as session:
        url = str(cluster.make_url("/index/_search"))
        await warm_up(session, url, {"1": {"query": "a"}, "2": {"query": "b"}})
    assert asked == ["a"] * 5 + ["b"]


async def test_a_model_that_gets_no_further_is_not_waited_for() -> None:
    never = ["partial; reason=deadline; plan=p; scored=8; model=m"]
    names = "abcdefgh"
    cluster, asked = reporting(dict.fromkeys(names, never))
    async with cluster, ClientSession() as session:
        url = str(cluster.make_url("/index/_search"))
        await warm_up(session, url, {name: {"query": name} for name in names})
    # Three queries are tried again and again in vain; the others need not show it too.
    assert [asked.count(name) for name in names] == [11, 11, 11, 1, 1, 1, 1, 1]


def test_an_outcome_is_read_out_of_the_header() -> None:
    partial = RankedAnswer((), 0.1, "partial; reason=deadline; plan=p; window=50; scored=8; ms=3.4")
    assert (partial.status, partial.scored) == ("partial reason=deadline", 8)
    assert (RankedAnswer((), 0.1, None).status, RankedAnswer((), 0.1, None).scored) == (
        "not routed",
        0,
    )
    assert RankedAnswer((), 0.1, "applied; plan=p; ms=3.9").status == "applied"
