"""Attacks on the proxy listener by what a search holds: sizes, counts, depths, spellings."""

from __future__ import annotations

import gzip
import random

from tests.amounts.attacks import (
    SEARCH_PATH,
    Attack,
    bomb,
    draw,
    garbage,
    get,
    post,
    query,
    repeated,
    zipped,
)
from tests.amounts.process import INDEX

MSEARCH = f"/{INDEX}/_msearch"
NDJSON = "Content-Type: application/x-ndjson"

_MATCH = b'{"match":{"body":"cells"}}'
_REPEATED = {
    "clauses": (b'{"query":{"bool":{"should":[', _MATCH, b",", b"]}}}"),
    "source fields": (b'{"query":{"match":{"body":"cells"}},"_source":[', b'"*a*b*c"', b",", b"]}"),
    "same keys": (b"{", b'"query":{"match":{"body":"cells"}}', b",", b"}"),
    "sorts": (b'{"query":{"match":{"body":"cells"}},"sort":[', b'"_score"', b",", b"]}"),
    "numbers": (b'{"query":{"terms":{"n":[', b"1E-400", b",", b"]}}}"),
    "digits": (b'{"query":{"match":{"body":"cells"}},"size":', b"9", b"", b"}"),
    "words": (b'{"query":{"match":{"body":"', b"cell", b" ", b'"}}}'),
    "escapes": (b'{"query":{"match":{"body":"', b"\\u0301\\ud83d", b"", b'"}}}'),
    "long word": (b'{"query":{"match":{"body":"', b"a", b"", b'"}}}'),
    "query string": (b'{"query":{"query_string":{"query":"', b"(a AND b~)", b" OR ", b'"}}}'),
    "simple query": (b'{"query":{"simple_query_string":{"query":"', b"+(a|b)", b" -", b'"}}}'),
    "fields": (b'{"query":{"multi_match":{"query":"cells","fields":[', b'"title^2"', b",", b"]}}}"),
    "white space": (b'{"query":{"match":{"body":"cells"}}', b" ", b"", b"}"),
    "comments": (b'{"query":{"match":{"body":"cells"}}', b"/**/", b"", b"}"),
    "aggregations": (
        b'{"query":{"match":{"body":"cells"}},"aggs":{',
        b'"a":{"max":{"field":"n"}}',
        b",",
        b"}}",
    ),
    "backslashes": (b'{"query":{"match":{"body":"', b"\\\\", b"", b'"}}}'),
    "quotes": (b'{"query":{"match":{"body":"', b'\\"', b"", b'"}}}'),
}
_NESTED = {
    "nested bool": (b'{"query":', b'{"bool":{"must":', _MATCH, b"}}", b"}"),
    "nested lists": (b'{"query":{"match":{"body":"cells"}},"ext":', b"[", b"", b"]", b"}"),
    "nested objects": (b'{"query":{"match":{"body":"cells"}},"ext":', b'{"a":', b"1", b"}", b"}"),
    "unclosed lists": (b'{"query":', b"[", b"", b"", b""),
}
_MOST_PLAIN = 4 << 20
_MOST_DECODED = 32 << 20


def repeated_in_search(chance: random.Random) -> Attack:
    """One thing very often in a search's body, plain or as a gzip bomb."""
    start, item, separator, end = _REPEATED[chance.choice(list(_REPEATED))]
    packed = chance.random() < 0.5
    most = (_MOST_DECODED if packed else _MOST_PLAIN) // (len(item) + len(separator))
    count = draw(chance, most)
    if packed:
        raw = zipped(SEARCH_PATH, bomb(start, item, separator, count, end))
    else:
        raw = post(SEARCH_PATH, repeated(start, item, separator, count, end))
    return Attack(raw, count)


def nested_search(chance: random.Random) -> Attack:
    """Depth, plain or as a gzip bomb."""
    start, opening, middle, closing, end = _NESTED[chance.choice(list(_NESTED))]
    depth = draw(chance, (2 << 20) // len(opening))
    body = start + opening * depth + middle + closing * depth + end
    packed = chance.random() < 0.3
    raw = zipped(SEARCH_PATH, gzip.compress(body, 1)) if packed else post(SEARCH_PATH, body)
    return Attack(raw, depth)


def msearch_items(chance: random.Random) -> Attack:
    """Items of an `_msearch`, of the route's index and of others, good and bad."""
    item = chance.choice(
        [
            b"{}\n" + query("cells") + b"\n",
            b"{}\n{}\n",
            b'{"index":"docs-a"}\n{"query":{"match_all":{}}}\n',
            b"{\n{\n",
            b"\n\n",
        ]
    )
    packed = chance.random() < 0.5
    count = draw(chance, (8 << 20) // len(item) if packed else (1 << 20) // len(item))
    if packed:
        raw = zipped(MSEARCH, bomb(b"", item, b"", count, b""), NDJSON)
    else:
        raw = post(MSEARCH, repeated(b"", item, b"", count, b""), NDJSON)
    return Attack(raw, count)


def index_names(chance: random.Random) -> Attack:
    """A long index list, of names with the same plan or patterns."""
    name = chance.choice([INDEX, "docs-*", "a", "-x", "%64ocs-a", "", "<a-{now/d}>"])
    count = draw(chance, 1_000_000 // (len(name) + 1))
    path = f"/{','.join([name] * count)}/{chance.choice(['_search', '_msearch'])}"
    return Attack(post(path, query("cells")), count)


def url_parameters(chance: random.Random) -> Attack:
    """Many parameters, long ones, and lists in them."""
    item, separator = chance.choice(
        [
            ("q=cells", "&"), ("a", "&"), ("", "&"), ("%61=%62", "&"), ("a", ";"),
            ("filter_path=a.*.**", ","), ("%25", ""), ("size=9", ""), ("_source=a*", ","),
        ]
    )  # fmt: skip
    count = draw(chance, 1_000_000 // (len(item) + len(separator) or 1))
    path = f"{SEARCH_PATH}?{separator.join([item] * count)}"
    raw = get(path) if chance.random() < 0.5 else post(path, query("cells"))
    return Attack(raw, count)


def typed_words(chance: random.Random) -> Attack:
    """A long query text of words that the documents hold, so that models have to read it."""
    count = draw(chance, 100_000)
    words = " ".join(chance.choice(["cells", "mice", "immune", "risk"]) for _ in range(count))
    return Attack(post(SEARCH_PATH, query(words[: 1 << 20])), count)


def wide_pages(chance: random.Random) -> Attack:
    """Large pages and offsets with everything that hits can carry."""
    size = draw(chance, 10_000)
    extras = chance.choice([b"", b'"explain":true,', b'"highlight":{"fields":{"*":{}}},'])
    body = b'{%b"query":{"match":{"body":"the of and"}},"size":%d}' % (extras, size)
    return Attack(post(SEARCH_PATH, body), size)


def broken_bodies(chance: random.Random) -> Attack:
    """Bytes that are not what the head says."""
    size = draw(chance, 1 << 20)
    body = chance.choice(
        [
            garbage(chance, size),
            query("cells")[: chance.randrange(20)],
            gzip.compress(query("cells"))[: chance.randrange(1, 40)],
            gzip.compress(query("cells")) + garbage(chance, size),
            b"",
        ]
    )
    coding = chance.choice(["gzip", "deflate", "br", "zstd", "identity", "gzip, gzip", "snappy"])
    return Attack(zipped(SEARCH_PATH, body, coding=coding), size)
