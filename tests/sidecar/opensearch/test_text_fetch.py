"""The search that fetches text by ids: its request, its permissions, and its answer."""

import json
from typing import Any

import pytest

from sidecar.opensearch.search_response import ResponseHit, read_search_response
from sidecar.opensearch.text_fetch import TextNotFetched, read_texts, write_text_fetch
from sidecar.relay.heads import RequestHead, parse_request_head


def head_of(target: str, *lines: str) -> RequestHead:
    start = f"GET {target} HTTP/1.1"
    return parse_request_head("\r\n".join([start, "Host: h", *lines, "", ""]).encode())


def answer(*hits: dict[str, Any], **members: Any) -> bytes:
    return json.dumps(
        {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": hits}} | members
    ).encode()


def hit(index: str, key: str, **source: Any) -> dict[str, Any]:
    return {"_index": index, "_id": key, "_score": 1.0, "_source": source}


def window(*keys: tuple[str, str]) -> tuple[ResponseHit, ...]:
    return read_search_response(answer(*(hit(index, key) for index, key in keys))).hits


def test_every_index_is_asked_for_its_own_ids() -> None:
    hits = window(("a", "1"), ("b", "1"), ("a", "é"), ("a", "1"))
    _, body = write_text_fetch(head_of("/x/_search"), hits, ["title", "meta.text"])
    assert json.loads(body) == {
        "query": {
            "bool": {
                "should": [
                    {
                        "bool": {
                            "filter": [{"term": {"_index": "a"}}, {"ids": {"values": ["1", "é"]}}]
                        }
                    },
                    {"bool": {"filter": [{"term": {"_index": "b"}}, {"ids": {"values": ["1"]}}]}},
                ]
            }
        },
        "size": 8,
        "_source": ["title", "meta.text"],
        "track_total_hits": False,
    }


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a%2Cb/_search", "/a%2Cb/_search?search_pipeline=_none"),
        ("/i/_search?", "/i/_search?search_pipeline=_none"),
        (
            "/i/_search?size=5&routing=a%2Bb+c&pretty&preference=_local&filter_path=hits"
            "&_source=x&routing=d&expand_wildcards=all&q=x&allow_no_indices",
            "/i/_search?search_pipeline=_none&routing=a%2Bb+c&preference=_local&routing=d"
            "&expand_wildcards=all&allow_no_indices=",
        ),
    ],
)
def test_the_same_indices_and_copies_are_asked(target: str, expected: str) -> None:
    written, _ = write_text_fetch(head_of(target), window(("i", "1")), ["title"])
    assert written.split(b"\r\n")[0] == f"POST {expected} HTTP/1.1".encode()


def test_who_asks_is_the_client_and_nothing_of_his_own_body_and_answer_is_said() -> None:
    head = head_of(
        "/i/_search",
        "Authorization: Basic abc",
        "Cookie: session=1",
        "X-Opaque-Id: 7",
        "securitytenant: t",
        "X-Forwarded-For: 10.0.0.1",
        "Content-Type: application/vnd.opensearch+json;compatible-with=2",
        "Content-Encoding: gzip",
        "Content-Length: 100",
        "Accept: application/yaml",
        "Accept-Encoding: br",
        "Expect: 100-continue",
        "X-Rescore-Plan: p",
        "Connection: keep-alive",
    )
    written, body = write_text_fetch(head, window(("i", "1")), ["title"])
    assert written.decode().split("\r\n")[1:] == [
        "Host: h",
        "Authorization: Basic abc",
        "Cookie: session=1",
        "X-Opaque-Id: 7",
        "securitytenant: t",
        "X-Forwarded-For: 10.0.0.1",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        "",
        "",
    ]


def test_hits_are_known_by_index_and_id() -> None:
    hits = window(("a", "1"), ("b", "1"), ("a", "2"), ("a", "3"))
    content = answer(hit("b", "1", t="b1"), hit("a", "3", t="a3"), hit("a", "1", t="a1"))
    assert read_texts(content, hits) == ({"t": "a1"}, {"t": "b1"}, {}, {"t": "a3"})


def test_documents_that_share_an_id_by_routing_get_no_text() -> None:
    both = answer(hit("a", "1", t="x"), hit("a", "1", t="y"), hit("a", "2", t="z"))
    assert read_texts(both, window(("a", "1"), ("a", "2"))) == ({}, {"t": "z"})
    assert read_texts(both, window(("a", "1"), ("a", "1"), ("a", "2"))) == ({}, {}, {"t": "z"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"error":{"type":"x"},"status":400}',
        answer(_shards={"failed": 1}),
        answer(timed_out=True),
        answer(terminated_early=True),
        # as many as were requested: more documents may share the id
        answer(hit("a", "1"), hit("a", "1")),
    ],
)
def test_an_answer_that_is_not_whole(content: bytes) -> None:
    with pytest.raises(TextNotFetched):
        read_texts(content, window(("a", "1")))


def test_a_hit_without_source_has_no_text() -> None:
    content = answer({"_index": "a", "_id": "1", "_score": 1.0})
    assert read_texts(content, window(("a", "1"))) == ({},)
