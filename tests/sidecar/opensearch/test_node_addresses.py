"""Requests for the nodes' addresses, and answers with the proxy's address instead."""

from __future__ import annotations

import json

import pytest

from sidecar.config.main_file import Address
from sidecar.opensearch.node_addresses import asks_for_addresses, replace_addresses

PROXY = Address("search.example", 9201)


@pytest.mark.parametrize(
    "target",
    [
        b"/_nodes/http",
        b"/_nodes/http?pretty&timeout=1s",
        b"/_nodes/_all/http",
        b"/_nodes/_all/http/",
        b"/_nodes/_local/http",
        b"/_nodes/n1,n2/http",
        b"/_nodes/_all/info/http",
        b"/_nodes/_all/http,os",
        b"/_nodes/os%2Chttp",
    ],
)
def test_requests_that_sniff(target: bytes) -> None:
    assert asks_for_addresses(b"GET", target)
    assert not asks_for_addresses(b"POST", target)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/_nodes",
        b"/_nodes/stats",
        b"/_nodes/stats/fs",
        b"/_nodes/_all/os",
        b"/_nodes/https",
        b"/_nodes/_all?x=/http",
        b"/_nodesx/http",
        b"/i/_nodes/http",
        b"/_cat/nodes?h=http",
    ],
)
def test_requests_that_do_not(target: bytes) -> None:
    assert not asks_for_addresses(b"GET", target)


ANSWER = b"""{
  "_nodes" : { "total" : 2, "successful" : 2, "failed" : 0 },
  "cluster_name" : "caf\xc3\xa9", "took" : 1.10,
  "nodes" : {
    "A" : { "name" : "n1",
      "http" : { "bound_address" : [ "10.0.0.1:9200" ], "publish_address" : "10.0.0.1:9200",
        "max_content_length_in_bytes" : 104857600 } },
    "B" : { "http":{"publish_address":"n2.example/10.0.0.2:9200"},
      "settings" : { "http" : { "publish_address" : "kept:1" } } },
    "C" : { "name" : "no http at all" },
    "D" : { "http" : { } }
  }
}
"""


def test_each_published_address_is_replaced_and_nothing_else() -> None:
    expected = ANSWER.replace(
        b'"publish_address" : "10.0.0.1:9200"', b'"publish_address" : "search.example:9201"'
    ).replace(b'"n2.example/10.0.0.2:9200"', b'"search.example:9201"')
    assert replace_addresses(ANSWER, PROXY) == expected


def test_an_ipv6_address_is_written_with_brackets() -> None:
    changed = json.loads(replace_addresses(ANSWER, Address("::1", 9201)))
    assert changed["nodes"]["A"]["http"]["publish_address"] == "[::1]:9201"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Unauthorized",
        b"---\nnodes:\n  A:\n    http:\n      publish_address: 10.0.0.1:9200\n",
        b'{"error":{"type":"security_exception"},"status":403}',
        b'{"nodes":[]}',
        b'{"nodes":{"A":1}}',
        b'{"nodes":{"A":{"http":null}}}',
        ANSWER[:-4],
        b"\xbf" + ANSWER,
    ],
)
def test_what_is_no_such_answer_stays_as_it_is(body: bytes) -> None:
    assert replace_addresses(body, PROXY) == body
