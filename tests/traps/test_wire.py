"""HTTP between an application and a real OpenSearch: what changes when the sidecar is between.

The single bytes of the relay are proven in tests/sidecar/relay; here whole exchanges are compared
with the node's own, through the whole sidecar, whose route takes every search.
"""

from __future__ import annotations

import json
import socket
import zlib

import pytest

from tests.raw_http import mask_took, read_response, send
from tests.traps.conftest import INDEX
from tests.traps.pair import Pair, outcome, raw_request

QUERY = b'{"query":{"match":{"body":"red shoes"}},"size":3}'

TARGETS = {
    "an escaped comma": f"/{INDEX}%2C{INDEX}-alias/_search",
    "an escaped slash in an id": f"/{INDEX}/_doc/a%2Fb",
    "an escaped colon": f"/{INDEX}/_doc/a%3Ab",
    "an unescaped colon": f"/{INDEX}/_doc/a:b",
    "an escaped star": f"/{INDEX}/_doc/%2A",
    "a plus in the path": f"/{INDEX}/_doc/a+b",
    "a plus in the query": f"/{INDEX}/_count?q=red+shoes",
    "an escaped plus in the query": f"/{INDEX}/_count?q=red%2Bshoes",
    "two slashes in front": f"//{INDEX}/_count",
    "two slashes inside": f"/{INDEX}//_count",
    "a slash behind": f"/{INDEX}/_count/",
    "a slash behind a search": f"/{INDEX}/_search/?size=1",
    "dots": f"/{INDEX}/../{INDEX}/_count",
    "escaped dots": f"/{INDEX}/%2E%2E/_count",
    "a lone percent": f"/{INDEX}/_doc/100%",
    "two percents": f"/{INDEX}/_count?q=100%%",
    "a broken escape": f"/{INDEX}/_search?routing=%4",
    "date math": "/%3Clogs-%7Bnow%2Fd%7D%3E/_count?ignore_unavailable=true",
    "semicolons": f"/{INDEX}/_count?q=red;pretty",
    "a fragment": f"/{INDEX}/_count?q=red#pretty",
    "an absolute target": f"http://opensearch:9200/{INDEX}/_count",
    "raw non-ASCII in the query": f"/{INDEX}/_search?q=caf\u00e9&size=1",
    "raw non-ASCII in the path": f"/{INDEX}/_doc/caf\u00e9",
    "no path": "?pretty",
    "only parameters": "/?pretty&filter_path=tagline",
    "an empty query": f"/{INDEX}/_count?",
    "a line of 5 KB, more than OpenSearch takes": f"/{INDEX}/_count?q={'x' * 5000}",
    "a search of 5 KB, more than OpenSearch takes": f"/{INDEX}/_search?q={'x' * 5000}",
}


@pytest.mark.parametrize("name", TARGETS)
def test_target(pair: Pair, name: str) -> None:
    pair.same(raw_request("GET", TARGETS[name]))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
@pytest.mark.parametrize("target", ["/", f"/{INDEX}/_search", f"/{INDEX}/_doc/1?_source=false"])
def test_method(pair: Pair, method: str, target: str) -> None:
    if method in ("PUT", "DELETE") and "_doc" in target:
        target = f"/{INDEX}/_doc/none?if_seq_no=1&if_primary_term=1"  # refused, so nothing changes
    pair.same(raw_request(method, target))


def test_options_of_everything(pair: Pair) -> None:
    pair.same(raw_request("OPTIONS", "*"))


def test_head_keeps_the_length_of_what_it_would_have_got(pair: Pair) -> None:
    response = pair.same(raw_request("HEAD", f"/{INDEX}/_doc/1"))
    assert int(response.values("content-length")[0]) > 0


HEADS = {
    "9 KB of fields": ("X-Long: " + "l" * 9216,),
    "20 KB of fields, more than OpenSearch takes": ("X-Long: " + "l" * 20_000,),
    "X-Opaque-Id": ("X-Opaque-Id: shop-17",),
    "duplicates": ("X-Opaque-Id: a", "X-Opaque-Id: b"),
    "two Content-Types": ("Content-Type: application/json", "Content-Type: application/yaml"),
    "no UTF-8": (b"X-Opaque-Id: \xe9\xff",),
    "an Origin": ("Origin: http://shop.example",),
    "TE and Keep-Alive": ("TE: trailers", "Keep-Alive: timeout=5"),
    "a traceparent": ("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",),
}


@pytest.mark.parametrize("name", HEADS)
def test_head_fields(pair: Pair, name: str) -> None:
    pair.same(raw_request("GET", f"/{INDEX}/_count", b"", *HEADS[name]))


def test_no_host(pair: Pair) -> None:
    pair.same(f"GET /{INDEX}/_count HTTP/1.1\r\nA: b\r\n\r\n".encode())


@pytest.mark.parametrize("query", ['{"match":{"body":"red"}}', '{"match_all":{}}'])
def test_a_warning_is_kept(pair: Pair, query: str) -> None:
    # OpenSearch warns once for each X-Opaque-Id.
    warnings = []
    for address in ((pair.node.host, pair.node.port), pair.sidecar.proxy):
        body = f'{{"query":{query},"indices_boost":{{"{INDEX}":2}}}}'.encode()
        opaque = f"X-Opaque-Id: {len(query)} {address[1]}"
        raw = raw_request("POST", f"/{INDEX}/_search", body, opaque)
        warnings.append(send(*address, raw).values("Warning"))
    assert warnings[0] == warnings[1] != []


UNREADABLE = {
    "a line that is too long": f"GET /{INDEX}/_count?q={'x' * 5000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a field that is too long": f"GET / HTTP/1.1\r\nHost: x\r\nA: {'x' * 20_000}\r\n\r\n",
    "a trailer that is too long": (
        f"POST /{INDEX}/_count HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nA: {'x' * 20_000}\r\n\r\n"
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_nobody_gets_the_connection_that_opensearch_has_stopped_reading(
    pair: Pair, name: str
) -> None:
    # OpenSearch leaves it open: the next request on it would wait for ever.
    assert send(*pair.sidecar.proxy, UNREADABLE[name].encode()).status == 400
    for _ in range(3):
        pair.same(raw_request("GET", f"/{INDEX}/_count"))


@pytest.mark.parametrize("expectation", ["foo", ""])
def test_a_request_hidden_behind_a_refused_expectation_gets_nobody_elses_turn(
    pair: Pair, expectation: str
) -> None:
    # OpenSearch answers 417 and then reads the body that came along as a request of its own,
    # here one that takes a second. Whoever got that connection next would get its answer.
    hidden = raw_request("GET", "/_cluster/health?wait_for_nodes=9&timeout=1s")
    raw = raw_request("POST", f"/{INDEX}/_count", hidden, f"Expect: {expectation}")
    assert send(*pair.sidecar.proxy, raw).status == 417
    for _ in range(3):
        pair.same(raw_request("GET", f"/{INDEX}/_count"))


def test_a_method_that_opensearch_closes_at_is_a_bad_gateway(pair: Pair) -> None:
    raw = raw_request("FOO", "/")
    with pytest.raises(EOFError):
        send(pair.node.host, pair.node.port, raw)
    through = send(*pair.sidecar.proxy, raw)
    assert (through.status, json.loads(through.body)["error"]["type"]) == (502, "upstream_broken")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("target", [f"/{INDEX}/_search", f"/{INDEX}/_validate/query?explain=true"])
def test_compressed_bodies_both_ways(pair: Pair, coding: str, target: str) -> None:
    # wbits 31 is gzip's format, 15 zlib's, which HTTP calls deflate.
    wbits = {"gzip": 31, "deflate": 15}[coding]
    body = zlib.compress(
        QUERY if "_search" in target else b'{"query":{"match":{"body":"red"}}}', wbits=wbits
    )
    raw = raw_request(
        "POST", target, body, f"Content-Encoding: {coding}", f"Accept-Encoding: {coding}"
    )
    direct, through = pair.send(raw)
    assert direct.values("content-encoding") == through.values("content-encoding") == [coding]
    ours, theirs = (zlib.decompress(answer.body, wbits) for answer in (through, direct))
    assert mask_took(ours) == mask_took(theirs)
    assert outcome(through).startswith("applied; ") is target.endswith("_search")


def test_broken_gzip_is_opensearchs_to_refuse(pair: Pair) -> None:
    raw = raw_request("POST", f"/{INDEX}/_search", b"no gzip", "Content-Encoding: gzip")
    direct, through = pair.send(raw)
    assert (through.status, through.values("content-type")) == (
        direct.status,
        direct.values("content-type"),
    )
    assert outcome(through).startswith("skipped; reason=content_encoding")


@pytest.mark.parametrize("trailer", [b"", b"X-Sum: 1\r\n"], ids=["no trailer", "a trailer"])
@pytest.mark.parametrize("target", [f"/{INDEX}/_search", f"/{INDEX}/_count"])
def test_chunked_bodies(pair: Pair, target: str, trailer: bytes) -> None:
    body = QUERY if target.endswith("_search") else b'{"query":{"match":{"body":"red"}}}'
    chunks = b"5;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\n%s\r\n" % (
        body[:5],
        len(body) - 5,
        body[5:],
        trailer,
    )
    raw = raw_request("POST", target, chunks, "Transfer-Encoding: chunked")
    direct, through = pair.send(raw)
    assert direct.status == 200
    assert mask_took(through.body) == mask_took(direct.body)


@pytest.mark.parametrize("target", [f"/{INDEX}/_search", f"/{INDEX}/_count"])
def test_expect_100_continue(pair: Pair, target: str) -> None:
    body = b'{"query":{"match":{"body":"red"}}}'
    raw = raw_request("POST", target, body, "Expect: 100-continue")
    head = raw[: -len(body)]
    for address in ((pair.node.host, pair.node.port), pair.sidecar.proxy):
        with (
            socket.create_connection(address, 10) as connection,
            connection.makefile("rb") as stream,
        ):
            connection.sendall(head)
            assert stream.readline().startswith(b"HTTP/1.1 100 ")
            while stream.readline() != b"\r\n":
                pass
            connection.sendall(body)
            assert read_response(stream, b"POST").status == 200


def test_expect_of_too_much_is_refused_before_a_byte_of_it_is_sent(pair: Pair) -> None:
    raw = (
        "POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        "Expect: 100-continue\r\nContent-Length: 115343360\r\n\r\n"
    )
    direct, through = pair.send(raw.encode())
    assert (through.status, through.body) == (direct.status, direct.body)
    assert through.status == 413


def test_an_early_413_reaches_a_client_that_still_sends(pair: Pair) -> None:
    head = (
        b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: 115343360\r\n\r\n"
    )
    with socket.create_connection(pair.sidecar.proxy, 20) as connection:
        connection.sendall(head)
        for _ in range(10):
            connection.sendall(b" " * 1_000_000)
        with connection.makefile("rb") as stream:
            assert read_response(stream, b"POST").status == 413


def test_a_2_mib_bulk(pair: Pair) -> None:
    item = b'{"index":{"_index":"traps-bulk","_id":"1"}}\n{"text":"%s"}\n' % (b"x" * 100_000)
    bulk = raw_request(
        "POST", "/_bulk?filter_path=errors", item * 21, "Content-Type: application/x-ndjson"
    )
    try:
        direct, through = pair.send(bulk)
        assert direct.body == through.body == b'{"errors":false}'
        # 21 versions direct and 21 through the sidecar: nothing was written twice.
        assert pair.direct("GET", "/traps-bulk/_doc/1?_source=false")["_version"] == 42
    finally:
        pair.direct("DELETE", "/traps-bulk")


def test_pipelined_searches_and_others_are_answered_in_order(pair: Pair) -> None:
    search = raw_request("POST", f"/{INDEX}/_search", QUERY)
    count = raw_request("GET", f"/{INDEX}/_count")
    ordered = [search, count, count, search, count]
    with socket.create_connection(pair.sidecar.proxy, 20) as connection:
        connection.sendall(b"".join(ordered))
        with connection.makefile("rb") as stream:
            answers = [read_response(stream) for _ in ordered]
    expected = {search: pair.send(search)[0].body, count: pair.send(count)[0].body}
    assert [mask_took(answer.body) for answer in answers] == [
        mask_took(expected[raw]) for raw in ordered
    ]


def test_a_connection_is_kept_over_errors_and_searches(pair: Pair) -> None:
    requests = [
        raw_request("POST", f"/{INDEX}/_search", QUERY),
        raw_request("GET", "/no-such-index/_search"),
        raw_request("HEAD", "/no-such-index"),
        raw_request("POST", f"/{INDEX}/_search", b"{"),
        raw_request("GET", f"/{INDEX}/_doc/none"),
    ]
    with socket.create_connection(pair.sidecar.proxy, 20) as connection:
        stream = connection.makefile("rb")
        for raw in requests * 4:
            connection.sendall(raw)
            through = read_response(stream, raw.split(b" ", 1)[0])
            assert through.values("connection") == []
        stream.close()


@pytest.mark.parametrize("keep", [True, False], ids=["keep-alive", "close"])
@pytest.mark.parametrize("target", [f"/{INDEX}/_search?q=red&size=2", f"/{INDEX}/_count"])
def test_http_1_0(pair: Pair, target: str, keep: bool) -> None:
    field = "Connection: keep-alive\r\n" if keep else ""
    raw = f"GET {target} HTTP/1.0\r\n{field}\r\n".encode()
    direct, through = pair.send(raw)
    assert (through.status, mask_took(through.body)) == (200, mask_took(direct.body))
    assert through.values("connection") == ["keep-alive" if keep else "close"]


def test_the_h2c_upgrade_of_java_stays_http_1_1(pair: Pair) -> None:
    raw = raw_request(
        "POST",
        f"/{INDEX}/_search",
        QUERY,
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    )
    _, plain = pair.send(raw_request("POST", f"/{INDEX}/_search", QUERY))
    with socket.create_connection(pair.sidecar.proxy, 20) as connection:
        connection.sendall(raw)
        with connection.makefile("rb") as stream:
            through = read_response(stream)
    assert through.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert mask_took(through.body) == mask_took(plain.body)


def test_h2c_by_prior_knowledge_is_refused(pair: Pair) -> None:
    with socket.create_connection(pair.sidecar.proxy, 20) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        with connection.makefile("rb") as stream:
            assert read_response(stream).status == 505


def test_a_half_closed_client_is_answered(pair: Pair) -> None:
    with socket.create_connection(pair.sidecar.proxy, 20) as connection:
        connection.sendall(raw_request("GET", f"/{INDEX}/_count"))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            assert read_response(stream).status == 200
            assert stream.read() == b""


def test_nothing_is_added_to_what_is_not_a_search(pair: Pair) -> None:
    for target in ("/", "/_cat/indices", f"/{INDEX}/_doc/1", f"/{INDEX}/_mapping"):
        response = pair.same(raw_request("GET", target))
        for name in ("Date", "Server", "ETag", "Via", "Connection", "X-Rescore"):
            assert response.values(name) == []


COUNT = b'{"query":{"match":{"body":"red"}}}'
EXPECTATIONS = {
    "another": ("Expect: x",),
    "a list": ("Expect: 100-continue, x",),
    "a list that ends with it": ("Expect: x, 100-continue",),
    "with a parameter": ("Expect: 100-continue;q=1",),
    "none": ("Expect:",),
    "another behind it": ("Expect: 100-continue", "Expect: x"),
    "another before it": ("Expect: x", "Expect: 100-continue"),
    "in capitals": ("Expect: 100-CONTINUE",),
}


@pytest.mark.parametrize("target", [f"/{INDEX}/_search", f"/{INDEX}/_count"])
@pytest.mark.parametrize("name", EXPECTATIONS)
def test_an_expectation_is_met_or_refused_as_by_the_node(
    either_pair: Pair, name: str, target: str
) -> None:
    direct, through = either_pair.send(raw_request("POST", target, COUNT, *EXPECTATIONS[name]))
    assert (through.status, mask_took(through.body)) == (direct.status, mask_took(direct.body))


@pytest.mark.parametrize("target", [f"/{INDEX}/_search?q=red", f"/{INDEX}/_count"])
def test_http_1_0_has_no_expectations(either_pair: Pair, target: str) -> None:
    raw = f"GET {target} HTTP/1.0\r\nExpect: x\r\n\r\n".encode()
    direct, through = either_pair.send(raw)
    assert (through.status, mask_took(through.body)) == (200, mask_took(direct.body))


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n" * 2, b"\r\n" * 1000, b"\n\n", b"\r\r"])
def test_empty_lines_before_a_request(either_pair: Pair, lines: bytes) -> None:
    raw = lines + raw_request("GET", f"/{INDEX}/_count")
    answers = []
    for host, port in ((either_pair.node.host, either_pair.node.port), either_pair.sidecar.proxy):
        with socket.create_connection((host, port), 20) as connection:
            # Behind a request as well, and in one piece with the next.
            connection.sendall(raw + raw)
            with connection.makefile("rb") as stream:
                answers.append([read_response(stream).raw for _ in range(2)])
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "raw",
    [b"GET /\r\n", b"GET /\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\nHost: x\r\n\r\n"],
)
def test_what_is_no_request_line_is_refused_at_once(either_pair: Pair, raw: bytes) -> None:
    for host, port in ((either_pair.node.host, either_pair.node.port), either_pair.sidecar.proxy):
        with socket.create_connection((host, port), 20) as connection:
            connection.sendall(raw)
            with connection.makefile("rb") as stream:
                assert read_response(stream).status == 400
                assert stream.read() == b""


EMPTY_BODIES = {
    "chunks without content": (b"0\r\n\r\n", ("Transfer-Encoding: chunked",)),
    "chunks without content, with a trailer": (
        b"0\r\nX-Sum: 1\r\n\r\n",
        ("Transfer-Encoding: chunked", "Trailer: X-Sum"),
    ),
    "gzip of nothing": (zlib.compress(b"", wbits=31), ("Content-Encoding: gzip",)),
    "gzip of nothing in chunks": (
        b"14\r\n" + zlib.compress(b"", wbits=31) + b"\r\n0\r\n\r\n",
        ("Content-Encoding: gzip", "Transfer-Encoding: chunked"),
    ),
    "deflate of nothing": (zlib.compress(b""), ("Content-Encoding: deflate",)),
    "a length of 0": (b"", ("Content-Length: 0",)),
    "none": (b"", ()),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", EMPTY_BODIES)
@pytest.mark.parametrize(
    "target",
    [f"/{INDEX}/_search?q=red", f"/{INDEX}/_search", f"/{INDEX}/_msearch", "/_nodes/http"],
)
def test_a_body_without_content_is_no_body(
    either_pair: Pair, target: str, name: str, method: str
) -> None:
    body, fields = EMPTY_BODIES[name]
    direct, through = either_pair.send(raw_request(method, target, body, *fields))
    assert through.status == direct.status
    if not target.startswith("/_nodes"):  # its figures change
        assert mask_took(through.body) == mask_took(direct.body)
