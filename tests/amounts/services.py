"""Attacks on the api listener's services: rerank and Kendra Intelligent Ranking."""

from __future__ import annotations

import json
import random

from tests.amounts.attacks import (
    Attack,
    bomb,
    deflated,
    draw,
    garbage,
    get,
    post,
    repeated,
    zipped,
)

_RERANKS = ("/v1/rerank", "/v2/rerank", "/rerank")
_RANKING = "/rescore-execution-plans/00000000-0000-0000-0000-000000000000/rescore"
_TARGET = "X-Amz-Target: AWSKendraRerankingFrontendService.Rescore"
_AMZ_JSON = "Content-Type: application/x-amz-json-1.0"
_CBOR_PATH = "/service/AWSKendraRerankingFrontendService/operation/Rescore"
_CBOR = ("Content-Type: application/cbor", "smithy-protocol: rpc-v2-cbor")

_REPEATED = (
    (b'{"model":"fused","query":"cells","documents":[', b'"cells"', b",", b"]}"),
    (b'{"model":"fused","query":"cells","documents":[', b'{"text":"a"}', b",", b"]}"),
    (b'{"query":"cells","texts":[', b'"a"', b",", b"]}"),
    (b'{"model":"fused","documents":["a"],"query":"', b"cell ", b"", b'"}'),
    (b'{"model":"fused","query":"a","documents":["', b"cells. ", b"", b'"]}'),
    (b'{"model":"fused","query":"a","documents":["', b"a", b"", b'"]}'),
    (b'{"model":"fused","query":"a","documents":["', b"\\u0301\\ud83d", b"", b'"]}'),
    (
        b'{"SearchQuery":"cells","Documents":[',
        b'{"Id":"1","Title":"a","OriginalScore":1}',
        b",",
        b"]}",
    ),
    (b"", b"[", b"", b""),
    (b"", b'{"a":', b"", b""),
    (b"{", b'"a":1', b",", b"}"),
    (b'{"model":"fused","query":"cells","documents":["a"],"top_n":', b"9", b"", b"}"),
)


def _send(chance: random.Random, body: bytes, coding: str | None) -> bytes:
    fields: tuple[str, ...] = ("Content-Type: application/json",)
    path = chance.choice((*_RERANKS, _RANKING, "/"))
    if path == "/":
        fields = (_AMZ_JSON, _TARGET)
    if coding is None:
        return post(path, body, *fields)
    return zipped(path, body, *fields, coding=coding)


def rerank_amounts(chance: random.Random) -> Attack:
    """One thing very often in a body, plain or as a gzip bomb."""
    start, item, separator, end = chance.choice(_REPEATED)
    packed = chance.random() < 0.5
    size = len(item) + len(separator)
    count = draw(chance, (32 << 20 if packed else 4 << 20) // size)
    if packed:
        return Attack(_send(chance, bomb(start, item, separator, count, end), "gzip"), count, "api")
    return Attack(_send(chance, repeated(start, item, separator, count, end), None), count, "api")


def api_codings(chance: random.Random) -> Attack:
    """Bodies that are not in the coding that their head names, and bombs in each of them."""
    size = draw(chance, 8 << 20)
    body = chance.choice(
        [
            garbage(chance, size),
            b"",
            deflated(size, raw=False),
            deflated(size, raw=True),
            deflated(size, raw=False)[:-3],
            b'{"query":"a","documents":["a"]}',
        ]
    )
    coding = chance.choice(["deflate", "gzip", "br", "zstd", "compress", "deflate, gzip"])
    return Attack(_send(chance, body, coding), size, "api")


def cbor_amounts(chance: random.Random) -> Attack:
    """CBOR with depth, long counts that nothing follows, and many items."""
    count = draw(chance, 1 << 20)
    body = chance.choice(
        [
            b"\x81" * count,
            b"\x9f" * count,
            b"\xa1\x61a" * (count // 3 + 1),
            b"\x9a\xff\xff\xff\xff",
            b"\x5a\x7f\xff\xff\xff" + b"a" * count,
            b"\x9f" + b"\x00" * count + b"\xff",
            b"\xc2\x5a" + count.to_bytes(4, "big") + b"\xff" * count,
            b"\xd8\x1d\x00" * (count // 3 + 1),
        ]
    )
    return Attack(post(_CBOR_PATH, body, *_CBOR), count, "api")


def tencent_urls(chance: random.Random) -> Attack:
    """Tencent's GET form, whose documents stand in the URL."""
    count = draw(chance, 4000)
    item = chance.choice(["Docs.{}=a", "Docs.0=a", "%41{}=%42", "Docs.99999999999999{}=a"])
    parameters = "&".join(item.format(number) for number in range(count))
    return Attack(get(f"/?Action=RunRerank&Query=a&{parameters}"), count, "api")


def ordinary(chance: random.Random) -> Attack:
    """A rerank request as it should be, for comparison."""
    count = chance.choice([1, 2, 5, 10])
    body = {"model": "fused", "query": "immune cells", "documents": ["cells in mice"] * count}
    return Attack(post("/v1/rerank", json.dumps(body).encode()), count, "api")
