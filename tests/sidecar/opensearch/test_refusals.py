"""What happens after OpenSearch refuses a widened search, and how many searches it gets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.search import search_and_rescore
from sidecar.opensearch.window_cache import WindowCache
from sidecar.relay.errors import ResponseTooLarge, UpstreamBroken, UpstreamTimeout
from sidecar.relay.front import Answer, Forward, Response
from tests.sidecar.opensearch.test_search import (
    Scripted,
    a_plan,
    answer_body,
    ids,
    request_for,
    response,
)
from tests.sidecar.opensearch.test_search import search as search_by

MATCH = {"query": {"match": {"body": "red shoes"}}, "size": 2}
OWN = response(answer_body({"body": "own"}))


def search(upstream: Scripted) -> SearchContext:
    return search_by(upstream, a_plan(rescore_window=100))


def error(status: int, *kinds: str, reason: str = "") -> Response:
    causes = [{"type": kind, "reason": reason} for kind in kinds]
    return response({"error": {"root_cause": causes, "type": "x"}, "status": status}, status)


def too_far(limit: int, asked_for: int = 100) -> str:
    return (
        "Result window is too large, from + size must be less than or equal to: "
        f"[{limit}] but was [{asked_for}]. See the scroll api"
    )


def shards(*kinds: str, reason: str = "") -> Response:
    failures = [{"shard": 0, "reason": {"type": kind, "reason": reason}} for kind in kinds]
    body = answer_body({"body": "a"}, {"body": "b"}, {"body": "c"})
    return response({**body, "_shards": {"failed": len(kinds) or 1, "failures": failures}})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error(429, "rejected_execution_exception"), "failed; reason=upstream_status"),
        (error(429, "circuit_breaking_exception"), "failed; reason=upstream_status"),
        (error(500, "null_pointer_exception"), "failed; reason=upstream_status"),
        (
            response(b"OpenSearch Security not initialized.", 503, "text/plain"),
            "failed; reason=upstream_status",
        ),
        (response(b"<html>", 502, "text/html"), "failed; reason=upstream_status"),
        (error(401), "skipped; reason=refused"),
        (error(403, "security_exception"), "skipped; reason=refused"),
        (error(404, "index_not_found_exception"), "skipped; reason=refused"),
        (error(400, "query_shard_exception"), "failed; reason=upstream_status"),
    ],
)
async def test_such_an_answer_is_handed_on_and_nothing_is_sent_again(
    answer: Response, outcome: str
) -> None:
    upstream = Scripted(answer)
    given, _ = await search_and_rescore(request_for(MATCH), search(upstream))
    assert isinstance(given, Answer)
    assert given.body == answer.body
    assert given.head.startswith(b"HTTP/1.1 %d " % answer.head.status)
    assert f"X-Rescore: {outcome}; plan=own\r\n".encode() in given.head
    assert len(upstream.sent) == 1


async def test_silence_is_a_sign_of_overload_too() -> None:
    upstream = Scripted(UpstreamTimeout("silent for 30 s"))
    given, outcome = await search_and_rescore(request_for(MATCH), search(upstream))
    assert isinstance(given, Answer)
    assert given.head.startswith(b"HTTP/1.1 504 ")
    assert json.loads(given.body)["error"]["type"] == "upstream_timeout"
    assert (outcome.status, outcome.reason) == ("failed", "upstream")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error(400, "parsing_exception"), "upstream_status"),
        (error(400, "illegal_argument_exception", reason="The length of [t]"), "upstream_status"),
        (error(400, "query_shard_exception", "script_exception"), "upstream_status"),
        (error(400), "upstream_status"),
        (response(b"<html>", 413, "text/html"), "upstream_status"),
        (shards("script_exception"), "shard_failures"),
        (shards("circuit_breaking_exception", "illegal_argument_exception"), "shard_failures"),
    ],
)
async def test_what_the_window_may_have_caused_is_asked_once_more(
    answer: Response, reason: str
) -> None:
    upstream = Scripted(answer, OWN)
    request = request_for(MATCH)
    given, outcome = await search_and_rescore(request, search(upstream))
    assert isinstance(given, Answer)
    assert given.body == OWN.body
    assert (outcome.status, outcome.reason) == ("failed", reason)
    head, body = upstream.sent[1]
    assert body == request.body
    assert head.startswith(b"POST /i/_search HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "kinds",
    [(), ("no_shard_available_action_exception",), ("rejected_execution_exception",) * 2],
)
async def test_where_shards_are_missing_the_page_is_cut_from_what_there_is(
    kinds: tuple[str, ...],
) -> None:
    upstream = Scripted(shards(*kinds))
    given, outcome = await search_and_rescore(request_for(MATCH), search(upstream))
    assert ids(given) == ["0", "1"]
    assert (outcome.status, outcome.reason) == ("failed", "shard_failures")


@pytest.mark.parametrize("failure", [UpstreamBroken("gone"), ResponseTooLarge("too much")])
async def test_an_own_search_that_fails_too_is_left_to_the_relay(failure: Exception) -> None:
    upstream = Scripted(error(400, "parsing_exception"), failure)
    given, outcome = await search_and_rescore(request_for(MATCH), search(upstream))
    assert given == Forward((outcome.header(),))


REFUSED = error(400, "illegal_argument_exception", reason=too_far(60))


@pytest.mark.parametrize(
    "refused",
    [REFUSED, shards("illegal_argument_exception", reason=too_far(60))],
    ids=["all shards", "some shards"],
)
async def test_a_smaller_result_window_is_learnt_at_once(refused: Response) -> None:
    three = response(answer_body({"body": "a"}, {"body": "b"}, {"body": "c"}))
    upstream = Scripted(refused, three, three)
    searching = search(upstream)
    for _ in range(2):
        given, outcome = await search_and_rescore(request_for(MATCH), searching)
        assert ids(given) == ["2", "1"]
        assert (outcome.status, outcome.window) == ("applied", 60)
    assert [json.loads(body)["size"] for _, body in upstream.sent] == [100, 60, 60]
    # Beyond the limit, OpenSearch decides.
    given, outcome = await search_and_rescore(request_for({**MATCH, "size": 61}), searching)
    assert (outcome.status, outcome.reason) == ("skipped", "result_window")


async def test_two_indexes_may_have_two_windows() -> None:
    ok = response(answer_body({"body": "a"}))
    second = error(400, "illegal_argument_exception", reason=too_far(40, 60))
    upstream = Scripted(REFUSED, second, ok)
    _, outcome = await search_and_rescore(request_for(MATCH), search(upstream))
    assert (outcome.status, outcome.window) == ("applied", 40)


@pytest.mark.parametrize(
    "answer",
    [
        error(400, "script_exception", reason=too_far(1)),
        error(400, "illegal_argument_exception", reason="no: " + too_far(1)),
        error(400, "illegal_argument_exception", reason=too_far(1, 99)),
        error(400, "illegal_argument_exception", reason="Inner result window is too large"),
    ],
)
async def test_no_callers_words_teach_a_result_window(answer: Response) -> None:
    ok = response(answer_body({"body": "a"}))
    upstream = Scripted(answer, OWN, ok)
    searching = search(upstream)
    await search_and_rescore(request_for(MATCH), searching)
    _, outcome = await search_and_rescore(request_for(MATCH), searching)
    assert (outcome.status, outcome.window) == ("applied", 100)


async def test_after_overload_searches_are_not_widened_for_a_while() -> None:
    upstream = Scripted(error(429, "circuit_breaking_exception"))
    searching = search(upstream)
    await search_and_rescore(request_for(MATCH), searching)
    given, outcome = await search_and_rescore(request_for(MATCH), searching)
    assert given == Forward((outcome.header(),))
    assert (outcome.status, outcome.reason) == ("skipped", "resting")


async def test_refusals_of_the_window_alone_are_learnt_from_and_others_are_not() -> None:
    wrong = error(400, "parsing_exception")
    upstream = Scripted(*[wrong, wrong] * 5, *[wrong, OWN] * 3)
    searching = search(upstream)
    for _ in range(8):
        _, outcome = await search_and_rescore(request_for(MATCH), searching)
        assert outcome.reason == "upstream_status"
    _, outcome = await search_and_rescore(request_for(MATCH), searching)
    assert outcome.reason == "resting"


def with_windows(upstream: Scripted) -> SearchContext:
    return replace(search(upstream), windows=WindowCache(60, 60, 1 << 20, Metrics(), Callers()))


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_caller_loses_all_windows(status: int) -> None:
    hits = response(answer_body(*[{"body": f"{n}"} for n in range(9)]))
    upstream = Scripted(hits, error(status, "security_exception"), hits)
    searching = with_windows(upstream)
    await search_and_rescore(request_for(MATCH), searching)
    await search_and_rescore(
        request_for({**MATCH, "query": {"match": {"body": "blue"}}}), searching
    )
    _, outcome = await search_and_rescore(request_for({**MATCH, "from": 2}), searching)
    assert (outcome.cached, outcome.order_kept) == (False, False)
    assert len(upstream.sent) == 3


async def test_another_caller_keeps_theirs() -> None:
    hits = response(answer_body(*[{"body": f"{n}"} for n in range(9)]))
    upstream = Scripted(hits, error(403, "security_exception"))
    searching = with_windows(upstream)
    await search_and_rescore(request_for(MATCH, "Authorization: Basic a"), searching)
    await search_and_rescore(request_for(MATCH, "Authorization: Basic b"), searching)
    further: dict[str, Any] = {**MATCH, "from": 2}
    _, outcome = await search_and_rescore(request_for(further, "Authorization: Basic a"), searching)
    assert outcome.cached
