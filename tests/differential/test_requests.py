"""Requests are the same for the same seed, and are kept, sent and shrunk without loss."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.differential.case import PIT, Case, read_case, write_case
from tests.differential.failures import Failure, read_failures, write_failure
from tests.differential.requests import make_case
from tests.differential.shrink import shrink


def test_a_seed_and_a_number_make_one_request() -> None:
    first = [make_case(3, number).write("pit") for number in range(200)]
    assert first == [make_case(3, number).write("pit") for number in range(200)]
    assert first != [make_case(4, number).write("pit") for number in range(200)]
    assert len(set(first)) > 190


def test_a_request_is_written_as_bytes() -> None:
    case = Case("GET", "/a/_search", ("q=x", "pretty"), ("Accept: */*",), f'{{"p":"{PIT}\udce9"}}')
    assert case.write("id") == (
        b"GET /a/_search?q=x&pretty HTTP/1.1\r\nHost: opensearch\r\nAccept: */*\r\n"
        b'Content-Length: 11\r\n\r\n{"p":"id\xe9"}'
    )


def test_a_compressed_body_is_the_same_each_time() -> None:
    case = Case("POST", "/_search", body="{}", compressed=True)
    _, _, body = case.write("").partition(b"\r\n\r\n")
    assert gzip.decompress(body) == b"{}"
    assert case.write("") == case.write("")


def test_any_request_can_be_kept_as_json() -> None:
    for number in range(300):
        case = make_case(5, number)
        assert read_case(json.loads(json.dumps(write_case(case)))) == case


def test_failures_are_read_as_written(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    failure = Failure("reverse", "3.8.0", "why", make_case(5, 1))
    write_failure(folder, "name", failure)
    assert list(read_failures(folder)) == [("name", failure)]


def test_a_request_is_shrunk_to_what_matters() -> None:
    case = Case(
        "POST",
        "/a/_search",
        ("pretty", "size=3", "human"),
        ("Accept: */*",),
        '{"size": 5, "query": {"bool": {"must": [{"match": {"t": "a b"}}, {"term": {"u": 1}}]}}}',
        compressed=True,
    )

    def differs(one: Case) -> bool:
        return "size=3" in one.parameters and '"match"' in (one.body or "")

    assert shrink(case, differs) == Case(
        "POST", "/a/_search", ("size=3",), body='{"must": [{"match": {}}]}'
    )


def test_items_of_a_multi_search_are_shrunk_one_by_one() -> None:
    case = Case("POST", "/_msearch", body='{}\n{"size": 1}\n{}\n{"from": 1, "size": 2}\n')
    shrunk = shrink(case, lambda one: '"from"' in (one.body or ""))
    assert shrunk.body == '{}\n{"from": 1}\n'
