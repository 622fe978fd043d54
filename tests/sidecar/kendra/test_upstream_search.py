"""The requests to OpenSearch, and the results of each kind of answer."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from sidecar.aws.json import AwsError
from sidecar.kendra.upstream_search import IndexSearch, UpstreamSearch, read_answers, write_exchange
from sidecar.relay.errors import ResponseTooLarge, UpstreamUnavailable
from sidecar.relay.front import Response
from sidecar.relay.heads import parse_response_head

SEARCH = IndexSearch("docs", {"size": 1}, "abc")
FOUND: dict[str, Any] = {"_shards": {"failed": 0}, "hits": {"hits": []}}


class Upstream:
    """Gives one answer, or raises, and remembers the request."""

    def __init__(self, status: int = 200, body: bytes = b"{}", error: Exception | None = None):
        self.sent: list[tuple[bytes, bytes]] = []
        self._status = status
        self._body = body
        self._error = error

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        self.sent.append((head, body))
        if self._error:
            raise self._error
        raw = f"HTTP/1.1 {self._status} X\r\nContent-Type: application/json\r\n\r\n".encode()
        return Response(parse_response_head(raw), self._body)


class Silent:
    """Never answers."""

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        await asyncio.Event().wait()
        raise AssertionError


def refusal(upstream: Any, deadline_s: float = 5) -> AwsError:
    with pytest.raises(AwsError) as caught:
        asyncio.run(UpstreamSearch(upstream, "node:9200", deadline_s).run([SEARCH], None))
    return caught.value


def test_several_searches_are_one_multi_search() -> None:
    head, body = write_exchange([SEARCH], "node:9200", "Basic abc")
    assert head == (
        b"POST /docs/_search?preference=abc HTTP/1.1\r\nHost: node:9200\r\n"
        b"Content-Type: application/json\r\nContent-Length: 10\r\nAuthorization: Basic abc\r\n\r\n"
    )
    assert json.loads(body) == {"size": 1}
    head, body = write_exchange([SEARCH, IndexSearch("faq", {}, "abc")], "node:9200", None)
    assert head.startswith(b"POST /_msearch HTTP/1.1\r\n")
    assert b"Content-Type: application/x-ndjson\r\n" in head
    assert b"Authorization" not in head
    assert [json.loads(line) for line in body.splitlines()] == [
        {"index": "docs", "preference": "abc"},
        {"size": 1},
        {"index": "faq", "preference": "abc"},
        {},
    ]


def test_an_index_name_stays_within_its_place_in_the_path() -> None:
    head, _ = write_exchange([IndexSearch("é<docs-{now/d}>", {}, "a")], "node:9200", None)
    assert b"/%C3%A9%3Cdocs-%7Bnow%2Fd%7D%3E/_search" in head


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (429, "ThrottlingException"),
        (401, "AccessDeniedException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (400, "InternalServerException"),
        (503, "InternalServerException"),
    ],
)
def test_errors_of_opensearch(status: int, name: str, caplog: pytest.LogCaptureFixture) -> None:
    error = refusal(Upstream(status, b'{"error": "a secret field"}'))
    assert error.name == name
    assert "secret" not in error.message
    assert "a secret field" in caplog.text


def test_an_upstream_that_cannot_be_reached() -> None:
    assert refusal(Upstream(error=UpstreamUnavailable("no"))).name == "InternalServerException"
    assert refusal(Upstream(error=ResponseTooLarge("no"))).name == "InternalServerException"
    assert "in time" in refusal(Silent(), 0.01).message


def test_an_answer_that_is_not_an_answer_to_a_search() -> None:
    for content in (b"", b"[]", b"{}", b'{"_shards": {}, "hits": 1}', b'{"responses": []}'):
        for count in (1, 2):
            with pytest.raises(AwsError):
                read_answers(content, count)


def test_the_first_search_must_not_fail_and_others_may(caplog: pytest.LogCaptureFixture) -> None:
    failed = {"error": {"type": "index_not_found_exception"}, "status": 404}
    content = json.dumps({"responses": [FOUND, failed]}).encode()
    assert read_answers(content, 2)[1]["hits"]["hits"] == []
    assert "index_not_found_exception" in caplog.text
    with pytest.raises(AwsError) as caught:
        read_answers(json.dumps({"responses": [failed, FOUND]}).encode(), 2)
    assert caught.value.name == "ResourceNotFoundException"


def test_failed_shards_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    partly = {**FOUND, "_shards": {"failed": 1}}
    assert read_answers(json.dumps(partly).encode(), 1) == [partly]
    assert "1 shards failed" in caplog.text


def test_a_failed_analyze_is_none_and_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def analyze(upstream: Any) -> Any:
        search = UpstreamSearch(upstream, "node:9200", 5)
        return asyncio.run(search.analyze("docs", {"text": ["a"]}, None))

    upstream = Upstream(body=b'{"tokens": []}')
    assert analyze(upstream) == {"tokens": []}
    assert upstream.sent[0][0].startswith(b"POST /docs/_analyze HTTP/1.1\r\n")
    assert analyze(Upstream(403)) is None
    assert analyze(Upstream(body=b"[")) is None
    assert analyze(Upstream(error=UpstreamUnavailable("no"))) is None


def test_a_missing_index_has_no_mappings() -> None:
    def mappings(upstream: Any) -> Any:
        return asyncio.run(UpstreamSearch(upstream, "node:9200", 5).mappings("docs", None))

    found: dict[str, Any] = {"docs-1": {"mappings": {}}}
    assert mappings(Upstream(body=json.dumps(found).encode())) == found
    assert mappings(Upstream(404)) == {}
    assert mappings(Upstream(403)) is None
    assert mappings(Upstream(error=UpstreamUnavailable("no"))) is None
