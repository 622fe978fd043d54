"""What the searches look through: three routed indices, an alias over two of them, and one index
without a route. Always the same documents, so that a request alone says what is found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.raw_http import RawResponse, send

TEXT, FAMILY, SPREAD, OTHER = "fuzz-text", "fuzz-family", "fuzz-spread", "fuzz-other"
BOTH = "fuzz-both"
"""The alias over TEXT and SPREAD, in which documents share ids."""

ROUTED = (TEXT, FAMILY, SPREAD, BOTH)
WORDS = (
    "copper kettle wooden handle garden river window paper silver morning station bridge"
    " letter orchard lantern harbour violin blanket meadow thunder"
).split()
RARE = "mammoth"
"""Stands in the one document of more than a megabyte."""

_ODD_TEXTS = (
    "Kupfer \u2014 caf\u00e9 kettle \U0001f600",
    "\u92fc\u306e\u3084\u304b\u3093 copper \u0645\u0631\u062d\u0628\u0627",
    'handle "quoted" \\ back\u2028slash\t\u0000 end',
    "lone \ud83d surrogate copper",
)
# A node of half a gigabyte refuses (429) what comes while its heap waits to be collected, and
# thousands of searches leave scrolls behind.
_LIMITS = {"indices.breaker.total.limit": "8gb", "search.max_open_scroll_context": 100_000}
_BULKY_CHARACTERS = 1_100_000

PIPELINES: Mapping[str, dict[str, Any]] = {
    "fuzz-filters": {
        "request_processors": [{"filter_query": {"query": {"range": {"rank": {"gte": 2}}}}}]
    },
    "fuzz-renames": {
        "response_processors": [
            {"rename_field": {"field": "title", "target_field": "name", "ignore_failure": True}}
        ]
    },
    # Fails for documents without a price.
    "fuzz-strict": {
        "response_processors": [{"rename_field": {"field": "price", "target_field": "cost"}}]
    },
    "fuzz-script": {
        "request_processors": [{"script": {"source": "ctx._source['explain'] = true"}}]
    },
    "fuzz-cuts": {"response_processors": [{"truncate_hits": {"target_size": 2}}]},
    "fuzz-unnamed": {"response_processors": [{"truncate_hits": {"target_size": 3}}]},
}
"""Search pipelines by name. The configuration of `extended` names all but the last."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A loaded corpus: a point in time over TEXT, and which documents a plan can read.

    `with_text` holds (index, id) of the documents with a title or a body.
    """

    pit: str
    with_text: frozenset[tuple[str, str]]


def load_corpus(host: str, port: int) -> Corpus:
    """Create the indices anew and fill them; raises RuntimeError when OpenSearch refuses."""
    documents = {index: list(make(Random(index))) for index, make in _MAKERS.items()}
    for index, mapping in _MAPPINGS.items():
        _ask(host, port, "DELETE", f"/{index}?ignore_unavailable=true")
        settings = {"number_of_shards": 5 if index == SPREAD else 1, "number_of_replicas": 0}
        _ask(host, port, "PUT", f"/{index}", {"settings": settings, "mappings": mapping})
        lines = []
        for number, document in enumerate(documents[index]):
            action: Document = {"_index": index, "_id": str(number)}
            if index == FAMILY:
                action["routing"] = "one"  # children are to be on their parent's shard
            lines += [json.dumps({"index": action}), json.dumps(document)]
        answer = _ask(host, port, "POST", "/_bulk?refresh=true", "\n".join([*lines, ""]))
        if answer["errors"]:
            refused = [item for item in answer["items"] if "error" in item["index"]]
            raise RuntimeError(f"{index} refused {json.dumps(refused)[:2000]}")
        # Only with one segment a shard are hits cut off early (`terminate_after`) always the same.
        _ask(host, port, "POST", f"/{index}/_forcemerge?max_num_segments=1")
        _ask(host, port, "POST", f"/{index}/_refresh")
    for index in (TEXT, SPREAD):
        _ask(host, port, "PUT", f"/{index}/_alias/{BOTH}")
    for name, pipeline in PIPELINES.items():
        _ask(host, port, "PUT", f"/_search/pipeline/{name}", pipeline)
    _ask(host, port, "PUT", "/_cluster/settings", {"transient": _LIMITS})
    pit = _ask(host, port, "POST", f"/{TEXT}/_search/point_in_time?keep_alive=3h")["pit_id"]
    with_text = frozenset(
        (index, str(number))
        for index, made in documents.items()
        for number, document in enumerate(made)
        if document.get("title") or document.get("body")
    )
    return Corpus(pit, with_text)


def drop_corpus(host: str, port: int) -> None:
    """Remove what `load_corpus` made."""
    _ask(host, port, "DELETE", "/_search/point_in_time/_all")
    _ask(host, port, "DELETE", "/_search/scroll/_all")
    for index in _MAPPINGS:
        _ask(host, port, "DELETE", f"/{index}")
    for name in PIPELINES:
        _ask(host, port, "DELETE", f"/_search/pipeline/{name}")
    limits = dict.fromkeys(_LIMITS)
    _ask(host, port, "PUT", "/_cluster/settings", {"transient": limits})


def _sentence(random: Random, least: int, most: int) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(least, most)))


def _texts(random: Random) -> Iterator[Document]:
    for number in range(60):
        document: Document = {
            "title": _sentence(random, 2, 5),
            "body": _sentence(random, 5, 40),
            "tags": random.sample(["red", "green", "blue"], random.randint(0, 3)),
            "price": random.choice([0, 1.1, 1e-5, 16777217, 1e20]),
            "rank": random.randint(1, 9),
            "big": random.choice([2**64 - 1, 2**63, 2**53 + 1, 0]),
            "day": f"2024-0{random.randint(1, 9)}-1{random.randint(0, 9)}",
            "flag": random.random() < 0.5,
            "place": {"lat": random.randint(-80, 80), "lon": random.randint(-170, 170)},
            "hint": random.choice(WORDS),
            "raw": {"number": 2**70, "list": [1, [2, {"hits": {"hits": [{"_score": 1}]}}]]},
        }
        match number % 10:
            case 1:
                document["body"] = random.choice(_ODD_TEXTS) + " kettle"
            case 2:
                del document["body"]
            case 3:
                del document["title"]
            case 4:
                document["meta.author"] = random.choice(WORDS)
                document["title"] = [document["title"], _sentence(random, 1, 2)]
            case 5:
                document["meta"] = {"author": random.choice(WORDS), "x.y": 1}
            case 6:
                document = {"note": document["body"], "rank": document["rank"], "title": None}
            case 7:
                document["f\u00fcr"] = {"x y": "\u00df"}
        yield document
    filler = "filler words of no interest. "
    yield {"title": RARE, "body": filler * (_BULKY_CHARACTERS // len(filler)), "rank": 1}


def _families(random: Random) -> Iterator[Document]:
    for number in range(60):
        document: Document = {
            "title": _sentence(random, 2, 4),
            "body": _sentence(random, 4, 20),
            "tags": random.sample(["red", "green", "kind-1"], 2),
            "rank": random.randint(1, 9),
        }
        if number % 3 == 0:
            document["relation"] = "question"
        else:
            document["relation"] = {"name": "answer", "parent": str(number - number % 3)}
        document["comments"] = [
            {
                "author": random.choice(WORDS),
                "text": _sentence(random, 2, 6),
                "stars": random.randint(1, 5),
            }
            for _ in range(random.randint(0, 3))
        ]
        yield document


def _ties(random: Random) -> Iterator[Document]:
    kinds = [(_sentence(random, 2, 3), _sentence(random, 4, 8)) for _ in range(6)]
    for number in range(120):
        title, body = kinds[number % len(kinds)]
        document = {
            "title": title,
            "body": body,
            "tags": [f"kind-{number % len(kinds)}"],
            "price": float(number % 4),
            "rank": number % 4,
        }
        if number % 20 == 7:
            del document["price"]
        yield document


def _others(random: Random) -> Iterator[Document]:
    for number in range(8):
        yield {"title": _sentence(random, 2, 3), "body": _sentence(random, 5, 9), "rank": number}


_MAKERS = {TEXT: _texts, FAMILY: _families, SPREAD: _ties, OTHER: _others}

_ENGLISH = {"type": "text", "analyzer": "english"}
_SHARED = {
    "title": {
        "type": "text",
        "fields": {"raw": {"type": "keyword", "ignore_above": 256}, "en": _ENGLISH},
    },
    "body": {"type": "text", "store": True, "fields": {"en": _ENGLISH}},
    "tags": {"type": "keyword"},
    "price": {"type": "double"},
    "rank": {"type": "integer", "store": True},
}
_MAPPINGS: Mapping[str, Document] = {
    TEXT: {
        "properties": {
            **_SHARED,
            "note": {"type": "text"},
            "big": {"type": "unsigned_long"},
            "day": {"type": "date"},
            "flag": {"type": "boolean"},
            "place": {"type": "geo_point"},
            "hint": {"type": "completion"},
            "raw": {"type": "object", "enabled": False},
            "meta": {"properties": {"author": {"type": "keyword"}}},
        }
    },
    FAMILY: {
        "properties": {
            **_SHARED,
            "relation": {"type": "join", "relations": {"question": "answer"}},
            "comments": {
                "type": "nested",
                "properties": {
                    "author": {"type": "keyword"},
                    "text": {"type": "text"},
                    "stars": {"type": "integer"},
                },
            },
        }
    },
    SPREAD: {"properties": _SHARED},
    OTHER: {"properties": _SHARED},
}


def _ask(host: str, port: int, method: str, target: str, body: object = None) -> Document:
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    content = text.encode()
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: opensearch\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    response: RawResponse = send(host, port, head.encode() + content, timeout=60)
    answer: Document = json.loads(response.body)
    if response.status >= 400 and method != "DELETE":
        raise RuntimeError(f"{method} {target} got {response.status}: {json.dumps(answer)[:2000]}")
    return answer
