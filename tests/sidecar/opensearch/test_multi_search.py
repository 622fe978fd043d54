"""An `_msearch` whose answer is not what it should be: nothing of it is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import Plan
from sidecar.config import Route
from sidecar.opensearch.answer_rescoring import Search
from sidecar.opensearch.multi_search import search_all_and_rescore
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.routes import find_plan
from sidecar.relay.errors import ResponseTooLarge, UpstreamBroken
from sidecar.relay.front import Answer, Forward, Request, Response
from sidecar.relay.heads import parse_request_head, parse_response_head
from sidecar.split_documents import SplitDocuments
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
    """Answers every exchange with the same; keeps what it was sent."""

    answer: bytes | Exception
    content_type: bytes = b"application/json"
    status: bytes = b"200 OK"
    sent: list[bytes] = field(default_factory=list)

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        self.sent.append(head + body)
        if isinstance(self.answer, Exception):
            raise self.answer
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\n\r\n" % (self.status, self.content_type)
        return Response(parse_response_head(head), self.answer)


class Backwards:
    """Scores texts by their place: the last one is the best."""

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        return [float(place) for place in range(len(texts))]


MATCH = ', "query" :{"match":{"t":"red"}}'
QUERY = '{"query":{"match":{"t":"red"}},"size":2}'
BODY = f'{{"index":"a"}}\n{QUERY}\n{{"index":"b"}}\n{QUERY}\n{{"index":"a"}}\n{QUERY}\n'.encode()


async def ask(upstream: Upstream, body: bytes = BODY) -> tuple[Forward | Answer, Sequence[Outcome]]:
    head = b"POST /_msearch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n\r\n"
    request = Request(parse_request_head(head), body)

    def search_of(names: Sequence[str]) -> Search | None:
        plan_name = find_plan(names, ROUTES)
        return (
            Search(plan_name, PLAN, upstream, OneScorer(Backwards()), SplitDocuments(1 << 20))
            if plan_name
            else None
        )

    return await search_all_and_rescore(request, (), search_of)


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
        (Upstream(b"{}", status=b"429 Too Many Requests"), "upstream_status"),
        (Upstream(b"took: 1", b"application/yaml"), "unreadable"),
        (Upstream(b'{"took":1,"responses":['), "unreadable"),
        (Upstream(b'{"took":1}'), "unreadable"),
        (Upstream(b'{"took":1,"responses":{}}'), "unreadable"),
        (Upstream(b"\xff"), "unreadable"),
        (Upstream(answer(response("x"), response("x"))), "unreadable"),
        (Upstream(answer(response("x"), response("x"), ERROR)), "upstream_status"),
        (Upstream(answer(response("x"), response("x"), [])), "upstream_status"),
        (Upstream(answer(response("x"), ERROR, {"status": 200})), "unreadable"),
        (
            Upstream(answer(response("x"), ERROR, response("x", _shards={"failed": 1}))),
            "shard_failures",
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
