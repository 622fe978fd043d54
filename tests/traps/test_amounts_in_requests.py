"""Amounts in requests, which any stranger chooses: none holds the event loop.

Each case grows: with twice as much of it a request takes at most about twice the CPU time. The
limits are those of the configuration's defaults.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator

import pytest

from tests.traps.amounts import (
    GZIP,
    MATCH,
    NDJSON,
    Cost,
    Meter,
    StandIn,
    check_costs,
    distinct,
    http,
    listed,
    metered_sidecar,
    search,
)

Make = Callable[[int], bytes]
"""A request with so much of something."""


@pytest.fixture(scope="module")
def meter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meter]:
    folder = tmp_path_factory.mktemp("amounts")
    with metered_sidecar(folder, StandIn(), kendra_plugin_settings_file="settings.json") as running:
        yield running


def with_query(query: str) -> bytes:
    return search(b'{"query":' + query.encode() + b"}")


def items(count: int, line: bytes = b"{}\n{}\n") -> bytes:
    return line * count


# Each with an amount that a request of some megabytes at most has, and the reason in X-Rescore;
# None where the amount may pass.
REQUESTS: dict[str, tuple[Make, int, str | None]] = {
    "items": (
        lambda n: http(b"POST /docs/_msearch", gzip.compress(items(n)), NDJSON, GZIP),
        130_000,
        "limits.multi_search_items",
    ),
    "items beyond the bytes": (
        lambda n: http(b"POST /docs/_msearch", gzip.compress(items(n)), NDJSON, GZIP),
        750_000,
        "limits.search_bytes",
    ),
    "items with searches": (
        lambda n: http(
            b"POST /docs/_msearch", items(n, b'{"index":"docs"}\n' + MATCH + b"}\n"), NDJSON
        ),
        10_000,
        "limits.multi_search_items",
    ),
    "names of an item": (
        lambda n: http(
            b"POST /docs/_msearch",
            b'{"index":[' + listed('"docs"', n).encode() + b"]}\n" + MATCH + b"}\n",
            NDJSON,
        ),
        100_000,
        "limits.index_names",
    ),
    "header of an item, nested": (
        lambda n: http(b"POST /docs/_msearch", b"[" * n + b"\n{}\n", NDJSON),
        1_000_000,
        "limits.nesting",
    ),
    "a bomb": (
        lambda n: search(gzip.compress(b'{"a":"' + b"a" * n + b'"}'), GZIP),
        15 << 20,
        "limits.search_bytes",
    ),
    "a bomb, deflate": (
        lambda n: search(zlib.compress(b"[" * n), b"Content-Encoding: deflate"),
        15 << 20,
        "limits.search_bytes",
    ),
    "gzip members": (
        lambda n: search(gzip.compress(b"", mtime=0) * n, GZIP),
        500,
        "no_query_text",
    ),
    "bytes": (lambda n: search(b" " * n), 3 << 20, "limits.search_bytes"),
    "clauses": (
        lambda n: with_query(
            '{"bool":{"should":[' + distinct('{"match":{"body":"t#"}}', n) + "]}}"
        ),
        25_000,
        "limits.search_values",
    ),
    "clauses, fewer": (
        lambda n: with_query(
            '{"bool":{"should":[' + distinct('{"match":{"body":"t#"}}', n) + "]}}"
        ),
        2_000,
        "limits.query_clauses",
    ),
    "clauses, compressed": (
        lambda n: search(
            gzip.compress(
                b'{"query":{"bool":{"should":['
                + listed('{"match":{"a":"b"}}', n).encode()
                + b"]}}}"
            ),
            GZIP,
        ),
        600_000,
        "limits.search_bytes",
    ),
    "fields of a match": (
        lambda n: with_query('{"match":{' + distinct('"f#":"x"', n) + "}}"),
        40_000,
        "limits.query_clauses",
    ),
    "fields of a multi_match": (
        lambda n: with_query(
            '{"multi_match":{"query":"x","fields":[' + distinct('"f#"', n) + "]}}"
        ),
        45_000,
        "limits.query_clauses",
    ),
    "fields of query strings": (
        lambda n: with_query(
            '{"query_string":{"query":"'
            + " ".join(f"f{number}*:x" for number in range(500))
            + '","fields":['
            + distinct('"f#"', n)
            + "]}}"
        ),
        45_000,
        "limits.query_clauses",
    ),
    "query strings": (
        lambda n: with_query(
            '{"bool":{"should":['
            + distinct('{"query_string":{"query":"' + "a:b " * 900 + '#"}}', n)
            + "]}}"
        ),
        280,
        "limits.query_clauses",
    ),
    "one long query string": (
        lambda n: with_query('{"query_string":{"query":"' + "a:(b " * n + '"}}'),
        190_000,
        None,
    ),
    "a long field": (
        lambda n: with_query('{"match":{"' + "a." * n + '":"x"}}'),
        450_000,
        None,
    ),
    "stars": (
        lambda n: with_query('{"match":{"' + "*" * n + '":"x"}}'),
        950_000,
        None,
    ),
    "stars and letters": (
        lambda n: with_query('{"match":{"' + "*a" * n + '":"x"}}'),
        450_000,
        None,
    ),
    "intervals": (
        lambda n: with_query(
            '{"intervals":{"body":{"any_of":{"intervals":['
            + listed('{"match":{"query":"x"}}', n)
            + "]}}}}"
        ),
        15_000,
        "limits.query_clauses",
    ),
    "arrays in arrays": (
        lambda n: with_query("[" * n + "]" * n),
        450_000,
        "limits.search_values",
    ),
    "arrays in arrays, fewer": (
        lambda n: with_query("[" * n + "]" * n),
        400,
        "limits.nesting",
    ),
    "arrays in arrays, left open": (
        lambda n: with_query("[" * n),
        40_000,
        "limits.nesting",
    ),
    "clauses in clauses": (
        lambda n: with_query('{"bool":{"must":' * n + "{}" + "}}" * n),
        200,
        "limits.nesting",
    ),
    "keys": (
        lambda n: search(b"{" + distinct('"k#":0', n).encode() + b"}"),
        45_000,
        "unknown_key",
    ),
    "keys of an object": (
        lambda n: with_query('{"term":{' + distinct('"k#":0', n) + "}}"),
        20_000,
        "no_query_text",
    ),
    "numbers": (
        lambda n: search(
            MATCH + b',"post_filter":{"terms":{"n":[' + listed("1.5", n).encode() + b"]}}}"
        ),
        45_000,
        "no_hits",
    ),
    "digits": (lambda n: search(MATCH + b',"size":' + b"1" * n + b"}"), 950_000, "body_syntax"),
    "digits of many numbers": (
        lambda n: search(MATCH + b',"fields":[' + listed("1" * 1000, n).encode() + b"]}"),
        1000,
        "no_hits",
    ),
    "digits of a fraction": (
        lambda n: search(MATCH + b',"min_score":1.' + b"1" * n + b"}"),
        950_000,
        "no_hits",
    ),
    "an exponent": (
        lambda n: search(MATCH + b',"size":1e' + b"9" * n + b"}"),
        950_000,
        "bad_number",
    ),
    "digits in a text": (
        lambda n: search(MATCH + b',"size":"' + b"1" * n + b'"}'),
        950_000,
        "bad_number",
    ),
    "escapes": (
        lambda n: with_query('{"match":{"body":"' + "\\u00e9" * n + '"}}'),
        160_000,
        "no_hits",
    ),
    "half characters": (
        lambda n: with_query('{"match":{"body":"' + "\\ud83d" * n + '"}}'),
        160_000,
        "no_hits",
    ),
    "source": (
        lambda n: search(MATCH + b',"_source":[' + distinct('"f#*"', n).encode() + b"]}"),
        45_000,
        "no_hits",
    ),
    "stored fields": (
        lambda n: search(MATCH + b',"stored_fields":[' + distinct('"f#"', n).encode() + b"]}"),
        45_000,
        "no_hits",
    ),
    "sorts": (
        lambda n: search(MATCH + b',"sort":[' + listed('"_score"', n).encode() + b"]}"),
        45_000,
        "sort",
    ),
    "names": (
        lambda n: search(MATCH + b"}", target=b"/" + b"docs," * n + b"docs/_search"),
        12_000,
        "limits.index_names",
    ),
    "names, escaped": (
        lambda n: search(MATCH + b"}", target=b"/" + b"docs%2C" * n + b"docs/_search"),
        8_500,
        "limits.index_names",
    ),
    "one long name": (
        lambda n: search(MATCH + b"}", target=b"/docs," + b"%41" * n + b"/_search"),
        20_000,
        "limits.index_names",
    ),
    "slashes": (
        lambda n: search(MATCH + b"}", target=b"/docs/_search" + b"/" * n),
        60_000,
        "no_hits",
    ),
    "parameters": (
        lambda n: search(MATCH + b"}", target=b"/docs/_search?" + b"a=b&" * n),
        15_000,
        "limits.url_parameters",
    ),
    "parameters of an _msearch": (
        lambda n: http(b"POST /docs/_msearch?" + b"a=b&" * n, b"{}\n" + MATCH + b"}\n", NDJSON),
        15_000,
        "limits.url_parameters",
    ),
    "parameters of a template": (
        lambda n: search(b'{"id":"a"}', target=b"/rendered/_search/template?" + b"a=b&" * n),
        15_000,
        "limits.url_parameters",
    ),
    "a long parameter": (
        lambda n: search(MATCH + b"}", target=b"/docs/_search?routing=" + b"%41" * n),
        20_000,
        "no_hits",
    ),
    "source_includes": (
        lambda n: search(MATCH + b"}", target=b"/docs/_search?_source_includes=" + b"a*," * n),
        20_000,
        "no_hits",
    ),
    "stored_fields": (
        lambda n: search(MATCH + b"}", target=b"/docs/_search?stored_fields=" + b"a," * n),
        30_000,
        "no_hits",
    ),
    "sort": (
        lambda n: search(MATCH + b"}", target=b"/docs/_search?sort=" + b"_score," * n),
        9_000,
        "sort",
    ),
    "filter_path": (
        lambda n: search(MATCH + b"}", target=b"/docs/_search?filter_path=" + b"**.a," * n),
        400,
        None,
    ),
    "filter_path, long": (
        lambda n: search(MATCH + b"}", target=b"/docs/_search?filter_path=" + b"**.a," * n),
        11_000,
        "filter_path",
    ),
    "q": (
        lambda n: search(b"", target=b"/docs/_search?q=" + b"a:b+" * n),
        15_000,
        None,
    ),
    "X-Rescore-Query": (
        lambda n: search(MATCH + b"}", b"X-Rescore-Query: " + b"%41" * n),
        20_000,
        "no_hits",
    ),
    "X-Rescore-Plan": (
        lambda n: search(MATCH + b"}", b"X-Rescore-Plan: " + b"a" * n),
        60_000,
        "unknown_plan",
    ),
    "Accept-Encoding": (
        lambda n: search(MATCH + b"}", b"Accept-Encoding: " + b"gzip," * n),
        12_000,
        "no_hits",
    ),
    "many Accept-Encoding": (
        lambda n: search(MATCH + b"}", *[b"Accept-Encoding: br"] * n),
        2_900,
        "no_hits",
    ),
    "many Content-Type": (
        lambda n: search(MATCH + b"}", *[b"Content-Type: a/b; charset=x"] * n),
        1_900,
        "content_type",
    ),
    "template": (
        lambda n: search(
            b'{"id":"a","params":{' + distinct('"p#":[]', n).encode() + b"}}",
            target=b"/rendered/_search/template",
        ),
        20_000,
        "render",
    ),
    "template, more": (
        lambda n: search(
            b'{"id":"a","params":{"a":[' + listed("[]", n).encode() + b"]}}",
            target=b"/rendered/_search/template",
        ),
        150_000,
        "limits.search_values",
    ),
    "the plugin's section": (
        lambda n: search(
            b'{"ext":{"search_configuration":{"result_transformer":{"kendra_intelligent_ranking":'
            b'{"order":1,"properties":{"body_field":[' + listed('"b"', n).encode() + b"]}}}}}}"
        ),
        45_000,
        "plugin_ext",
    ),
}


BEYOND: dict[str, tuple[Make, int]] = {
    "a head": (lambda n: search(MATCH + b"}", b"X-Rescore-Query: " + b"%41" * n), 150_000),
    "a target": (lambda n: search(MATCH + b"}", target=b"/docs/_search?" + b"a=b&" * n), 120_000),
    "fields": (lambda n: search(MATCH + b"}", *[b"A: b"] * n), 11_000),
}


@pytest.mark.parametrize("name", BEYOND)
def test_an_amount_beyond_what_the_relay_reads(meter: Meter, name: str) -> None:
    make, amount = BEYOND[name]
    raws = make(amount), make(2 * amount)
    larger = check_costs(lambda: [meter.cost(raw) for raw in raws])
    assert larger.answer.status == 431


@pytest.mark.parametrize("name", REQUESTS)
def test_an_amount_in_a_request(meter: Meter, name: str) -> None:
    make, amount, reason = REQUESTS[name]
    raws = make(amount), make(2 * amount)

    def measure() -> list[Cost]:
        costs = [meter.cost(raw) for raw in raws]
        smaller, larger = costs
        print(
            f"{name:32} {len(raws[1]):9} B  turn {larger.turn:7.1f} ms  all {smaller.total:7.1f}"
            f" {larger.total:7.1f} ms  {larger.outcome}"
        )
        return costs

    larger = check_costs(measure)
    assert larger.answer.status == 200
    outcome = larger.outcome
    assert outcome is not None
    if reason is not None:
        assert f"reason={reason};" in outcome + ";"
