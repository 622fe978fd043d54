"""An `_msearch` with an unexpected answer: the client loses nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import Plan
from pipelines.scoring import Scorer
from sidecar.config.limits import Limits
from sidecar.config.routes import Route
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.multi_search import FollowUps, search_all_and_rescore
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.routes import find_plan
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.errors import ResponseTooLarge, UpstreamBroken
from sidecar.relay.front import Answer, Forward, Request, Response
from sidecar.relay.heads import parse_request_head, parse_response_head
from tests.one_scorer import OneScorer

ROUTES = (Route(index="a", plan="plan"),)
PLAN = Plan.model_validate(
    {
        "rescore_window": 3,
        "deadline_ms": 20_000,
        "document": {"body": "t"},
        "stages": [{"model": "m"}],
        "fusion": {"method": "replace"},
        "scores": "positional",
    }
)


@dataclass(slots=True)
class Upstream:
    """Gives the same answer to each exchange, or `again` after the first; records the requests."""

    answer: bytes | Exception
    content_type: bytes = b"application/json"
    status: bytes = b"200 OK"
    sent: list[bytes] = field(default_factory=list)
    again: bytes | Exception | None = None

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        self.sent.append(head + body)
        answer = self.answer
        if len(self.sent) > 1 and self.again is not None:
            answer = self.again
        if isinstance(answer, Exception):
            raise answer
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\n\r\n" % (self.status, self.content_type)
        return Response(parse_response_head(head), answer)


class Backwards(Scorer):
    """Scores texts by their place; the last text is the best."""

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        return [float(place) for place in range(len(texts))]


MATCH = ', "query" :{"match":{"t":"red"}}'
QUERY = '{"query":{"match":{"t":"red"}},"size":2}'
BODY = f'{{"index":"a"}}\n{QUERY}\n{{"index":"b"}}\n{QUERY}\n{{"index":"a"}}\n{QUERY}\n'.encode()


async def ask(upstream: Upstream, body: bytes = BODY) -> tuple[Forward | Answer, Sequence[Outcome]]:
    head = b"POST /_msearch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n\r\n"
    request = Request(parse_request_head(head), body)

    lessons = IndexLessons(Callers(), Metrics())

    def search_of(names: Sequence[str], section: object = None) -> SearchContext | None:
        plan_name = find_plan(names, ROUTES)
        if plan_name is None:
            return None
        models, documents = OneScorer(Backwards()), PassageCutter(1 << 20)
        return SearchContext(plan_name, PLAN, upstream, models, documents, Limits(), lessons)

    return await search_all_and_rescore(request, (), search_of, Limits(), FollowUps())


def response(ids: str, **others: Any) -> dict[str, Any]:
    hits = [
        {"_index": "a", "_id": one, "_score": 9 - place, "_source": {"t": f"{one} red"}}
        for place, one in enumerate(ids)
    ]
    shards = {"_shards": {"failed": 0}}
    return {**shards, "hits": {"max_score": 9, "hits": hits}, "status": 200, **others}


def answer(*responses: object) -> bytes:
    return json.dumps({"took": 3, "responses": responses}).encode()


async def test_routed_items_are_widened_and_come_back_in_a_new_order() -> None:
    upstream = Upstream(answer(response("xyz"), response("xyz"), response("pq")))
    answered, outcomes = await ask(upstream)
    (sent,) = upstream.sent
    wide = QUERY.replace('"size":2', '"size":3')
    assert sent.partition(b"\r\n\r\n")[2].decode().splitlines() == [
        *('{"index":"a"}', wide, '{"index":"b"}', QUERY, '{"index":"a"}', wide)
    ]
    assert isinstance(answered, Answer)
    assert b"\r\nX-Rescore: applied; plan=plan; items=2; rescored=2; ms=" in answered.head
    assert [outcome.status for outcome in outcomes] == ["applied", "applied"]
    orders = [
        "".join(hit["_id"] for hit in one["hits"]["hits"])
        for one in json.loads(answered.body)["responses"]
    ]
    assert orders == ["zy", "xyz", "qp"]


ERROR = {"error": {"type": "x"}, "status": 404}


@pytest.mark.parametrize(
    ("upstream", "reason"),
    [
        (Upstream(UpstreamBroken("gone")), "upstream"),
        (Upstream(ResponseTooLarge("too much")), "too_large"),
        (Upstream(b"{}", status=b"400 Bad Request"), "upstream_status"),
        (Upstream(b"took: 1", b"application/yaml"), "unreadable"),
        (Upstream(b'{"took":1,"responses":['), "unreadable"),
        (Upstream(b'{"took":1}'), "unreadable"),
        (Upstream(b'{"took":1,"responses":{}}'), "unreadable"),
        (Upstream(b"\xff"), "unreadable"),
        (Upstream(answer(response("x"), response("x"))), "unreadable"),
        (Upstream(answer(response("x"), response("x"), {"status": 400}), again=b"{"), "unreadable"),
        (
            Upstream(answer(response("x"), response("x"), []), again=UpstreamBroken("gone")),
            "upstream",
        ),
    ],
)
async def test_an_improper_answer_sends_the_request_on_as_it_came(
    upstream: Upstream, reason: str
) -> None:
    forward, outcomes = await ask(upstream)
    header = f"X-Rescore: failed; reason={reason}; plan=plan; items=2; rescored=0".encode()
    assert forward == Forward((header,))
    assert outcomes == [Outcome("plan", "failed", reason)] * 2


async def test_an_error_where_no_route_is_stays_where_it_is() -> None:
    answered, outcomes = await ask(Upstream(answer(response("xyz"), ERROR, response(""))))
    assert isinstance(answered, Answer)
    assert [outcome.reason for outcome in outcomes] == [None, "no_hits"]
    assert json.loads(answered.body)["responses"][1] == ERROR
    assert b"X-Rescore: skipped; reason=no_hits; plan=plan; items=2; rescored=1" in answered.head


OWN = response("q", took=7)
LIMIT = (
    "Result window is too large, from + size must be less than or equal to: [2] but was [3]. See"
)


def error(kind: str, reason: str = "", status: int = 400) -> dict[str, Any]:
    cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


def failed_shards(*kinds: str) -> dict[str, Any]:
    failures = [{"shard": 0, "reason": {"type": kind, "reason": "x"}} for kind in kinds]
    return {"_shards": {"failed": len(kinds), "failures": failures}}


@pytest.mark.parametrize(
    ("third", "outcome"),
    [
        (error("query_shard_exception", "[red AND (]"), "failed; reason=upstream_status"),
        (error("security_exception", status=403), "skipped; reason=refused"),
        (error("index_not_found_exception", status=404), "skipped; reason=refused"),
        (error("rejected_execution_exception", status=429), "failed; reason=upstream_status"),
        (error("null_pointer_exception", status=500), "failed; reason=upstream_status"),
        (error("no_shard_available_action_exception", "", 503), "failed; reason=upstream_status"),
    ],
)
async def test_an_items_own_error_stays_and_the_others_are_rescored(
    third: dict[str, Any], outcome: str
) -> None:
    upstream = Upstream(answer(response("xyz"), response("x"), third))
    answered, _ = await ask(upstream)
    assert isinstance(answered, Answer)
    assert len(upstream.sent) == 1
    assert f"X-Rescore: {outcome}; plan=plan; items=2; rescored=1; ".encode() in answered.head
    first, _, last = json.loads(answered.body)["responses"]
    assert [hit["_id"] for hit in first["hits"]["hits"]] == ["z", "y"]
    assert last == third


@pytest.mark.parametrize(
    ("third", "reason"),
    [
        (error("illegal_argument_exception", "The length of [t] has exceeded"), "upstream_status"),
        (error("parsing_exception", "unknown query [mtch]"), "upstream_status"),
        (response("x", **failed_shards("script_exception")), "shard_failures"),
        (
            response("x", **failed_shards("script_exception", "circuit_breaking_exception")),
            "shard_failures",
        ),
        ({"status": 200}, "unreadable"),
        ([], "unreadable"),
    ],
)
async def test_an_item_that_the_window_may_have_spoilt_is_asked_again_alone(
    third: object, reason: str
) -> None:
    upstream = Upstream(answer(response("xyz"), response("x"), third), again=answer(OWN))
    answered, outcomes = await ask(upstream)
    assert isinstance(answered, Answer)
    assert upstream.sent[1].partition(b"\r\n\r\n")[2].decode() == f'{{"index":"a"}}\n{QUERY}\n'
    assert json.loads(answered.body)["responses"][2] == OWN
    assert outcomes[1].reason == reason


async def test_missing_shards_are_no_reason_to_ask_again() -> None:
    third = response("xy", **failed_shards("no_shard_available_action_exception"))
    upstream = Upstream(answer(response("xyz"), response("x"), third))
    answered, outcomes = await ask(upstream)
    assert isinstance(answered, Answer)
    assert len(upstream.sent) == 1
    assert (outcomes[1].status, outcomes[1].reason) == ("failed", "shard_failures")
    assert [hit["_id"] for hit in json.loads(answered.body)["responses"][2]["hits"]["hits"]] == [
        *("x", "y")
    ]


async def test_an_item_of_a_smaller_window_is_asked_again_for_what_its_index_serves() -> None:
    refused = error("illegal_argument_exception", LIMIT)
    upstream = Upstream(
        answer(response("xyz"), response("x"), refused), again=answer(response("pq"))
    )
    answered, outcomes = await ask(upstream)
    assert isinstance(answered, Answer)
    assert [outcome.status for outcome in outcomes] == ["applied", "applied"]
    assert upstream.sent[1].endswith(b'"size":2}\n')
    assert [hit["_id"] for hit in json.loads(answered.body)["responses"][2]["hits"]["hits"]] == [
        *("q", "p")
    ]


async def test_nothing_is_sent_again_after_a_sign_of_overload() -> None:
    upstream = Upstream(b'{"error":"busy"}', status=b"429 Too Many Requests")
    answered, outcomes = await ask(upstream)
    assert isinstance(answered, Answer)
    assert answered.body == b'{"error":"busy"}'
    assert answered.head.startswith(b"HTTP/1.1 429 ")
    assert len(upstream.sent) == 1
    assert [outcome.reason for outcome in outcomes] == ["upstream_status"] * 2


_before_the_number = st.sampled_from(
    ['{"size":', '{ "size"\t: ', '{"_source":"\\u00e9 \U0001f600","min_score":1.10 ,"size" :']
)
_behind_the_number = st.sampled_from(["}", " }\r", ', "timeout":"1E5s" }  ', ',"from" : 0}'])


@given(
    items=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), _before_the_number, _behind_the_number), min_size=1
    ),
    extra=st.sampled_from(["", "\n"]),
)
async def test_only_the_numbers_of_routed_items_change(
    items: list[tuple[str, str, str]], extra: str
) -> None:
    def body(size_of: dict[str, int]) -> bytes:
        lines = [
            f'{{"index": "{index}"}}\n{before}{size_of[index]}{MATCH}{behind}\n'
            for index, before, behind in items
        ]
        return ("".join(lines) + extra).encode()

    upstream = Upstream(UpstreamBroken("gone"))
    _, outcomes = await ask(upstream, body({"a": 2, "b": 2}))
    assert len(outcomes) == [index for index, _, _ in items].count("a")
    sent = [raw.partition(b"\r\n\r\n")[2] for raw in upstream.sent]
    assert sent == ([body({"a": 3, "b": 2})] if outcomes else [])
