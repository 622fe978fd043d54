"""Bodies of searches: every key that OpenSearch knows, spelled in every way it takes and in some
that it refuses, and the ways in which JSON itself can be odd."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

from tests.differential.case import PIT
from tests.differential.corpus import SPREAD, TEXT
from tests.differential.queries import make_query, make_words

_NUMBERS: tuple[Any, ...] = (*(0, 1, 5, 10, 15, 19, 20, 21, 25, 40), "3", "20", 5.0, "4.0", 1e1)
_SORTS: tuple[Any, ...] = (
    *("_score", "rank", "_doc", ["_score"], {"_score": "desc"}, {"_score": "asc"}, []),
    *([{"_score": {"order": "desc"}}], {"_score": {"order": "DESC"}}, [{"_score": {}}]),
    *(["_score", "rank"], ["rank", "_score"], [{"rank": {"order": "desc", "missing": "_last"}}]),
    *([{"price": "asc"}, "_doc"], {"_script": {"type": "number", "script": "1", "order": "asc"}}),
)
_SOURCES: tuple[Any, ...] = (
    *(True, False, "title", "body", ["title"], ["title", "body"], ["t*"], ["*.author"], "false"),
    *({"includes": ["title", "body"]}, {"excludes": ["body"]}, {"include": "*", "exclude": "raw"}),
    *({"excludes": "raw.*"}, ["f\u00fcr", "meta"], {"includes": "title"}),
)
_FIELDS: tuple[Any, ...] = (["title"], ["ti*", {"field": "day", "format": "yyyy"}], ["*"])
_STORED: tuple[Any, ...] = (
    *("body", ["body", "rank"], ["_source"], ["*"], "_none_", [], ["rank", "_source"]),
)
_HIGHLIGHTS: tuple[Any, ...] = (
    {"fields": {"body": {}}},
    {
        "fields": {"*": {"fragment_size": 30, "number_of_fragments": 2}},
        "require_field_match": False,
    },
    {"pre_tags": ["<b>"], "post_tags": ["</b>"], "fields": {"title": {"type": "plain"}}},
    {"fields": [{"title": {}}, {"body": {}}]},
)
_AGGREGATIONS: tuple[Any, ...] = (
    {"tags": {"terms": {"field": "tags"}}},
    {"top": {"terms": {"field": "rank"}, "aggs": {"hits": {"top_hits": {"size": 2}}}}},
    {"hits": {"top_hits": {"size": 3, "_source": ["title"]}}},
    {"price": {"stats": {"field": "price"}}, "days": {"cardinality": {"field": "day"}}},
    {"sampled": {"sampler": {"shard_size": 3}, "aggs": {"r": {"avg": {"field": "rank"}}}}},
)
_SUGGESTS: tuple[Any, ...] = (
    {"spelling": {"text": "koppet", "term": {"field": "body"}}},
    {"text": "kettel", "phrases": {"phrase": {"field": "title"}}},
)
_RESCORES: tuple[Any, ...] = (
    {
        "window_size": 5,
        "query": {"rescore_query": {"match": {"body": "copper"}}, "rescore_query_weight": 3},
    },
    [{"window_size": 30, "query": {"rescore_query": {"match_phrase": {"body": "river"}}}}],
    {"query": {"rescore_query": {"match_all": {}}, "score_mode": "multiply"}},
)
_SCRIPTS: tuple[Any, ...] = (
    {"twice": {"script": {"source": "doc['rank'].value * 2"}}},
    {"size": {"script": "params._source.size()"}},
    {"price": {"script": "doc['price'].value"}},  # fails for the documents without one
)
_PIPELINES: tuple[Any, ...] = (
    *("_none", {"response_processors": [{"truncate_hits": {"target_size": 2}}]}),
    {"request_processors": [{"oversample": {"sample_factor": 2}}]},
)
_COLLAPSED: tuple[Any, ...] = (
    *({"field": "rank"}, {"field": "rank", "inner_hits": {"name": "more", "size": 2}}),
)

# A key's weight, and what OpenSearch takes for it.
# fmt: off
_VALUES: dict[str, tuple[float, tuple[Any, ...]]] = {
    "from": (4, _NUMBERS), "size": (5, _NUMBERS), "sort": (2, _SORTS), "_source": (4, _SOURCES),
    "stored_fields": (1.5, _STORED), "docvalue_fields": (1, (["rank"], ["price", "tags"])),
    "fields": (1.5, _FIELDS), "script_fields": (2, _SCRIPTS), "highlight": (3, _HIGHLIGHTS),
    "aggs": (2, _AGGREGATIONS), "aggregations": (1, _AGGREGATIONS), "suggest": (1, _SUGGESTS),
    "collapse": (1, _COLLAPSED), "rescore": (1.5, _RESCORES), "min_score": (1.5, (0.1, 1, "0.5")),
    "post_filter": (1.5, ({"term": {"rank": 3}}, {"match": {"tags": "red"}})),
    "indices_boost": (0.7, ([{TEXT: 1.5}], [{SPREAD: 3}, {TEXT: 0.1}])),
    "explain": (1.5, (True, "true", False)), "profile": (0.7, (True, False)),
    "version": (1, (True, False, "true")), "seq_no_primary_term": (1, (True,)),
    "include_named_queries_score": (0.7, (True,)), "track_scores": (1, (True, False)),
    "track_total_hits": (2, (True, False, 5, 1, 100, "true")),
    "timeout": (1, ("10s", "1m")), "terminate_after": (0.5, (0, 3, 1000)),
    "stats": (0.5, (["a", "b"],)), "pit": (0.2, ({"id": PIT}, {"id": PIT, "keep_alive": "1h"})),
    "ext": (0.2, ({},)), "search_pipeline": (0.4, _PIPELINES),
    "derived": (0.5, ({"twice": {"type": "long", "script": {"source": "emit(2)"}}},)),
}
# fmt: on
_WEIGHTS = [weight for weight, _ in _VALUES.values()]
_WRONG_SIZES: tuple[Any, ...] = (-1, "x", None, True, 1.5, 10_000, 2**31, 2**63, [], "", "-0")
_WRONG_STARTS: tuple[Any, ...] = (-1, "x", None, False, 2.5, 9_999, 2**31, {}, "", " 3", "1e1")
_WRONG: tuple[tuple[str, Any], ...] = (
    *(("size", value) for value in _WRONG_SIZES),
    *(("from", value) for value in _WRONG_STARTS),
    *(("sort", "nosuch"), ("sort", [{"_score": {"mode": "max"}}]), ("sort", "price:asc")),
    *(("sort", None), ("sort", 3)),
    *(("_source", []), ("_source", ""), ("_source", {}), ("_source", {"nosuch": []})),
    *(("_source", 1), ("_source", None)),
    ("_source", {"includes": ["title"], "excludes": ["title"]}),
    ("_source", {"includes": [], "excludes": []}),
    *(("fields", "title"), ("fields", ["nosuch"]), ("fields", [])),
    *(("docvalue_fields", "rank"), ("stored_fields", ["_none_"]), ("suggest", {"a": {}})),
    *(("collapse", {"field": "body"}), ("collapse", "rank"), ("indices_boost", {TEXT: 2})),
    *(("min_score", 1e9), ("min_score", -1), ("explain", "x"), ("terminate_after", -1)),
    *(("track_total_hits", -1), ("timeout", 10_000), ("timeout", "x"), ("slice", {"id": 0})),
    *(("search_after", [1]), ("search_after", []), ("slice", {"id": 0, "max": 2}), ("pit", 1)),
    *(("pit", {"id": "nosuch"}), ("search_pipeline", "nosuch"), ("verbose_pipeline", True)),
    ("ext", {"rerank": {"query_context": {"query_text": "kettle"}}}),
    *(("ext", {"mmr": {}}), ("ext", {"nosuch": 1}), ("nosuch", 1), ("query", 5), ("size", "5")),
    ("highlight", {"fields": {"body": {"type": "nosuch"}}}),
    ("script_fields", {"fails": {"script": "doc['nosuch'].value"}}),
    ("aggs", {"wrong": {"terms": {"field": "body"}}}),
    ("suggest", {"hints": {"prefix": "co", "completion": {"field": "hint"}}}),
)


def make_search(random: Random) -> dict[str, Any]:
    """A search body as an object."""
    body: dict[str, Any] = {}
    if random.random() < 0.93:
        body["query"] = make_query(random)
    count = random.choice([0, 0, 1, 1, 2, 2, 3, 4, 6])
    for key in random.choices(list(_VALUES), _WEIGHTS, k=count):
        body[key] = _value(random, key)
    if random.random() < 0.08:
        key, value = random.choice(_WRONG)
        body[key] = value
    if "sort" in body and random.random() < 0.3:
        body["search_after"] = random.choice([[1], [3.5], ["2", 1]])
    members = list(body.items())
    random.shuffle(members)
    return dict(members)


def make_text(random: Random, search: object) -> str:
    """The body as text: mostly as programs write it, sometimes as people and attackers do."""
    indent = random.choice([None, None, None, 1, 2])
    tight = (",", ":") if random.random() < 0.4 else None
    text = json.dumps(search, indent=indent, separators=tight, ensure_ascii=random.random() < 0.5)
    return make_odd(random, text) if random.random() < 0.06 else text


def make_odd(random: Random, text: str) -> str:
    """The text with one oddity that some JSON readers take and others do not."""
    number = random.choice(["1E1", "10.0", "0010", "+5", "1e400", "5.", "-0", "0x5", "NaN"])
    words = make_words(random)
    return random.choice(
        [
            text.replace("{", f'{{"size":{number},', 1),
            text.replace("{", '{"size":3,"size":7,', 1),
            text.replace("{", '{"from":1,"\\u0066rom":2,', 1),
            text.replace('"query"', '"\\u0071uery"', 1),
            text.replace("{", "{/* a comment */", 1),
            text.replace("{", "{// a comment\n", 1),
            text.replace("}", ",}", 1),
            text.replace('"', "'"),
            text + " ",
            text + "\n\n",
            text + "{}",
            text + "x",
            text[: len(text) // 2],
            "\ufeff" + text,
            "\r\n\t " + text,
            "",
            " ",
            "[]",
            "null",
            f"[{text}]",
            re.sub(r"\d+", "99999999999999999999", text, count=1),
            text.replace("}", f',"_name":"\\ud83d {words}"}}', 1),
            text.replace("e", "\udce9", 1),
            text.replace('"title"', '"title\x00"', 1),
            text.replace("{", '{"nosuch":' + "[" * 60 + "]" * 60 + ",", 1),
        ]
    )


def _value(random: Random, key: str) -> Any:
    if key in ("from", "size") and random.random() < 0.75:
        return random.randint(0, 24)
    return random.choice(_VALUES[key][1])
