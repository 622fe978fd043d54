"""What happens to a search if an exchange with OpenSearch fails.

Here OpenSearch is a list of answers, so that each failure comes at the right time. Tests with a
real OpenSearch are in `tests/end_to_end/`: `test_text_fetch.py`, `test_plugin_ext.py`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pipelines.plan import Plan
from pipelines.scoring import Scorer
from sidecar.config.limits import Limits
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.search import forward_without_rescoring, search_and_rescore
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.errors import ResponseTooLarge, UpstreamBroken
from sidecar.relay.front import Answer, Forward, Request, Response
from sidecar.relay.heads import parse_request_head, parse_response_head
from tests.one_scorer import OneScorer

MATCH = {"match": {"body": "red shoes"}}
SECTION = {
    "search_configuration": {
        "result_transformer": {
            "kendra_intelligent_ranking": {
                "order": 1,
                "properties": {"title_field": "name", "body_field": ["text"], "doc_limit": 30},
            }
        }
    }
}


def a_plan(**keys: Any) -> Plan:
    whole = {"document": {"body": "body"}, "stages": [{"model": "m"}], "deadline_ms": 60_000}
    return Plan.model_validate({**whole, "fusion": {"method": "replace"}, **keys})


class LastFirst(Scorer):
    """A scorer that gives later texts higher scores."""

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        return [float(number) for number in range(len(texts))]


class Scripted:
    """An `Exchanger` that gives one answer after the other, and records the requests."""

    def __init__(self, *answers: Response | Exception | None) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[bytes, bytes]] = []

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        self.sent.append((head, body))
        answer = self.answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer


def response(body: object, status: int = 200, content_type: str = "application/json") -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n"
    return Response(
        parse_response_head(f"{head}content-length: {len(content)}\r\n\r\n".encode()), content
    )


def answer_body(*sources: dict[str, Any] | None, failed: int = 0) -> dict[str, Any]:
    hits = []
    for number, source in enumerate(sources):
        hit = {"_index": "i", "_id": str(number), "_score": 9.0 - number}
        hits.append(hit if source is None else {**hit, "_source": source})
    return {"timed_out": False, "_shards": {"failed": failed}, "hits": {"hits": hits}}


def request_for(body: object, *lines: str) -> Request:
    content = json.dumps(body).encode()
    start = ("POST /i/_search HTTP/1.1", "Host: h", "Content-Type: application/json")
    length = f"Content-Length: {len(content)}"
    head = "\r\n".join([*start, length, *lines, "", ""])
    return Request(parse_request_head(head.encode()), content)


def search(
    upstream: Scripted, plan: Plan | None = None, plugin_plan: Plan | None = None
) -> SearchContext:
    return SearchContext(
        "own",
        plan or a_plan(),
        upstream,
        OneScorer(LastFirst()),
        PassageCutter(1 << 20),
        Limits(),
        IndexLessons(Callers(), Metrics()),
        plugin_plan,
    )


def ids(answer: Forward | Answer) -> list[str]:
    assert isinstance(answer, Answer)
    return [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]


@dataclass(frozen=True, slots=True)
class KeepsDeadlines(OneScorer):
    """Keeps the deadlines that searches have given their models."""

    deadlines: list[float | None]

    def scorer(self, deadline: float | None) -> Scorer:
        self.deadlines.append(deadline)
        return self.own


WIDE = response(answer_body(None, None, None))
TEXTS = response(answer_body({"body": "a"}, {"body": "b"}, {"body": "c"}))
HIDDEN = {"query": MATCH, "_source": False, "size": 2}


@pytest.mark.parametrize("waited_s", [0.0, 0.05])
@pytest.mark.parametrize("finish_s", [0.0, 0.01])
async def test_the_deadline_is_for_all_that_the_sidecar_adds(
    monkeypatch: pytest.MonkeyPatch, waited_s: float, finish_s: float
) -> None:
    monkeypatch.setattr("sidecar.opensearch.widened_search.search_age_s", lambda: waited_s)
    models, plan = KeepsDeadlines(LastFirst(), []), a_plan()
    context = replace(search(Scripted(TEXTS), plan), models=models)
    whole_s = plan.deadline_ms / 1000
    for _ in range(100):
        context.finish_time.record(0.0, finish_s, plan.deadline_ms)
    before = time.monotonic()
    _, outcome = await search_and_rescore(request_for({"query": MATCH}), context)
    after = time.monotonic()
    assert outcome.status == "applied"
    assert outcome.ms >= waited_s * 1000
    (deadline,) = models.deadlines
    assert deadline is not None
    reserve_s = waited_s + finish_s
    assert before <= deadline - whole_s + reserve_s + 1e-6 <= after


async def test_a_search_that_gets_no_turn_in_time_keeps_its_order_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sidecar.opensearch.widened_search.search_age_s", lambda: 3600.0)
    models = KeepsDeadlines(LastFirst(), [])
    context = replace(search(Scripted(TEXTS)), models=models)
    answer, outcome = await search_and_rescore(request_for({"query": MATCH}), context)
    assert (outcome.status, outcome.reason) == ("failed", "deadline")
    assert ids(answer) == ["0", "1", "2"]
    assert models.deadlines == []


async def test_text_that_is_not_in_the_answer_is_fetched() -> None:
    texts = response(answer_body({"body": "a"}, {"body": "b"}, {"body": "c"}))
    upstream = Scripted(WIDE, texts)
    answer, outcome = await search_and_rescore(request_for(HIDDEN), search(upstream))
    assert outcome.status == "applied"
    assert ids(answer) == ["2", "1"]
    assert [head.split(b" ")[1] for head, _ in upstream.sent] == [
        b"/i/_search",
        b"/i/_search?search_pipeline=_none",
    ]


@pytest.mark.parametrize(
    "fetched",
    [
        response(answer_body({"body": "a"}, {"body": "b"}), status=403),
        response({"error": {}, "status": 429}, status=429),
        response(answer_body({"body": "a"}, failed=1)),
        response(b"---\nhits: 1\n", content_type="application/yaml"),
        response(b"{"),
        UpstreamBroken("the connection was lost"),
        ResponseTooLarge("too much"),
    ],
)
async def test_without_the_text_the_order_stays(fetched: Response | Exception) -> None:
    answer, outcome = await search_and_rescore(request_for(HIDDEN), search(Scripted(WIDE, fetched)))
    assert (outcome.status, outcome.reason) == ("failed", "text_fetch")
    assert ids(answer) == ["0", "1"]


async def test_the_deadline_holds_for_the_fetching_too() -> None:
    plan = a_plan(deadline_ms=1)
    answer, outcome = await search_and_rescore(
        request_for(HIDDEN), search(Scripted(WIDE, None), plan)
    )
    assert (outcome.status, outcome.reason) == ("failed", "deadline")
    assert ids(answer) == ["0", "1"]


@pytest.mark.parametrize(
    ("body", "start"),
    [
        ({"timed_out": False, "_shards": {"failed": 0}}, 0),
        ({"timed_out": False, "_shards": {"failed": 0}, "hits": {"max_score": None}}, 0),
        (answer_body(None, None, None), 3),
    ],
    ids=["no hits", "no hits but their number", "no hits on this page"],
)
async def test_a_filter_takes_empty_hits_away(body: dict[str, Any], start: int) -> None:
    request = request_for({"query": MATCH, "from": start})
    target = b"/i/_search?filter_path=_shards,timed_out,hits"
    filtered = Request(request.head.replace(target=target), request.body)
    answer, outcome = await search_and_rescore(filtered, search(Scripted(response(body))))
    assert (outcome.status, outcome.reason) == ("skipped", "no_hits")
    assert isinstance(answer, Forward)


async def test_without_a_filter_hits_cannot_be_missing() -> None:
    upstream = Scripted(response({"timed_out": False, "_shards": {"failed": 0}}))
    _, outcome = await search_and_rescore(request_for({"query": MATCH}), search(upstream))
    assert (outcome.status, outcome.reason) == ("failed", "unreadable")


async def test_the_plugins_section_is_cut_and_takes_the_plugins_plan() -> None:
    body = {"query": {"match": {"text": "red"}}, "ext": SECTION, "size": 2}
    plugin_plan = a_plan(scores="model")
    upstream = Scripted(response(answer_body({"text": "a"}, {"text": "b"}, {"name": "c"})))
    answer, outcome = await search_and_rescore(
        request_for(body), search(upstream, None, plugin_plan)
    )
    assert (outcome.plan, outcome.status) == ("kendra-intelligent-ranking", "applied")
    assert (outcome.window, outcome.scored) == (30, 3)
    assert ids(answer) == ["2", "1"]
    assert json.loads(upstream.sent[0][1]) == {"query": {"match": {"text": "red"}}, "size": 30}


async def test_without_the_plugins_plan_the_routes_is_taken() -> None:
    body = {"query": MATCH, "ext": SECTION}
    upstream = Scripted(response(answer_body({"text": "a"}, {"text": "b"})))
    _, outcome = await search_and_rescore(request_for(body), search(upstream))
    assert (outcome.plan, outcome.status, outcome.window) == ("own", "applied", 30)


async def test_a_disabled_plugins_plan_leaves_its_searches_alone() -> None:
    body = {"query": MATCH, "ext": SECTION}
    upstream = Scripted(response(answer_body({"text": "a"})))
    _, outcome = await search_and_rescore(
        request_for(body), search(upstream, None, a_plan(enabled=False))
    )
    assert outcome.reason == "disabled"
    assert json.loads(upstream.sent[0][1]) == {"query": MATCH}


async def test_a_search_with_the_section_that_is_left_alone_goes_without_it() -> None:
    body = {"query": MATCH, "ext": SECTION, "sort": ["price"]}
    direct = response(answer_body({"text": "a"}))
    upstream = Scripted(direct)
    answer, outcome = await search_and_rescore(
        request_for(body, "Accept-Encoding: br", "X-Rescore-Plan: p"), search(upstream)
    )
    assert (outcome.status, outcome.reason) == ("skipped", "sort")
    head, sent = upstream.sent[0]
    assert json.loads(sent) == {"query": MATCH, "sort": ["price"]}
    assert head.endswith(b"Accept-Encoding: br\r\nContent-Length: %d\r\n\r\n" % len(sent))
    assert isinstance(answer, Answer)
    assert answer.body == direct.body
    assert b"X-Rescore: skipped; reason=sort; plan=own\r\n" in answer.head


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ({"query": MATCH}, []),
        ({"query": MATCH, "ext": {"search_configuration": {}}}, []),
        ({"query": MATCH, "ext": SECTION}, ["Authorization: AWS4-HMAC-SHA256 Credential=x"]),
        ({"query": MATCH, "ext": SECTION}, ["Content-Type: application/json"]),
        ({"query": MATCH, "ext": SECTION}, ["Content-Encoding: br"]),
    ],
)
async def test_what_carries_no_section_that_can_be_cut_is_forwarded_as_it_came(
    body: object, lines: list[str]
) -> None:
    upstream = Scripted()
    request = request_for({**body, "scroll": 1} if isinstance(body, dict) else body, *lines)
    answer, outcome = await search_and_rescore(request, search(upstream))
    assert answer == Forward((outcome.header(),))
    assert outcome.status == "skipped"
    assert upstream.sent == []


async def test_a_section_that_the_plugin_would_refuse_has_a_reason_of_its_own() -> None:
    body = {"query": MATCH, "ext": {"search_configuration": {"result_transformer": {}}}}
    answer, outcome = await search_and_rescore(request_for(body), search(Scripted()))
    assert (outcome.status, outcome.reason) == ("skipped", "plugin_ext")
    assert answer == Forward((outcome.header(),))


@pytest.mark.parametrize("error", [UpstreamBroken("lost"), ResponseTooLarge("too much")])
async def test_an_answer_that_cannot_be_held_is_left_to_the_relay(error: Exception) -> None:
    request = request_for({"query": MATCH, "ext": SECTION, "sort": ["price"]})
    answer, outcome = await search_and_rescore(request, search(Scripted(error)))
    assert answer == Forward((outcome.header(),))
    assert await forward_without_rescoring(request, outcome, Scripted(error), Limits()) == answer


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["Accept: application/json", "Accept: application/yaml"], "reply_format"),
        (["Content-Type: application/json"], "content_type"),
    ],
)
async def test_every_field_of_a_name_counts(lines: list[str], reason: str) -> None:
    answer, outcome = await search_and_rescore(
        request_for({"query": MATCH}, *lines), search(Scripted())
    )
    assert outcome.reason == reason
    assert answer == Forward((outcome.header(),))
