"""The requests of a fuzzing run: number N of a seed is always the same one.

Mostly searches of routed indices; the rest are `_msearch`es, other requests, and headers that few
clients send. Nothing here writes: both sides have to find the same documents all the time.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.differential.case import Case
from tests.differential.corpus import BOTH, FAMILY, OTHER, SPREAD, TEXT
from tests.differential.queries import make_query, make_words
from tests.differential.search_bodies import make_odd, make_search, make_text
from tests.differential.urls import make_expression, make_parameters, make_path

_JSON = "Content-Type: application/json"
_CONTENT_TYPES = (
    *("Content-Type: application/json; charset=UTF-8", "content-type: APPLICATION/JSON"),
    *("Content-Type: application/json;charset=iso-8859-1", "Content-Type: application/x-ndjson"),
    *("Content-Type: application/vnd.opensearch+json", "Content-Type: text/plain"),
    *("Content-Type: application/yaml", "Content-Type: application/cbor", "Content-Type:"),
    *("Content-Type: application/json; q=1", "Content-Type: nosuch"),
)
_ACCEPTS = (
    *("*/*", "application/json", "application/yaml", "application/cbor", "text/html", "nosuch"),
    *("application/json, application/yaml", "application/yaml;q=0.1, */*", "application/smile"),
)
_CODINGS = ("gzip", "gzip, deflate", "br, gzip;q=0.8", "identity", "deflate", "gzip;q=0", "zstd")
_RARE_FIELDS = (
    *("X-Opaque-Id: fuzz", "X-Rescore: off", "X-Rescore-Query: copper%20kettle", "Cookie: a=b"),
    *("X-Rescore-Plan: nosuch", "X-Rescore-Query: %ff", "Authorization: Basic Zm86YmFy"),
    *("Authorization: AWS4-HMAC-SHA256 Credential=x", "X-Amz-Content-SHA256: x"),
    *("Connection: close", "Connection: keep-alive, x-opaque-id", "Accept: application/json"),
    *("X-Forwarded-For: 10.0.0.1", "User-Agent: fuzz/1", "Content-Encoding: identity"),
    *("Origin: http://example.org", "traceparent: 00-1-1-00", "X-Odd: f\u00fcr", "TE: trailers"),
)

# What applications ask besides searching. Answers with times or counts of the node are left out.
_OTHERS = (
    *("GET /", "HEAD /", f"GET /{TEXT}", f"HEAD /{TEXT}", f"GET /{TEXT}/_mapping?pretty"),
    *(f"GET /{TEXT}/_settings?flat_settings", f"GET /_alias/{BOTH}", f"GET /{SPREAD}/_alias"),
    *(f"GET /{TEXT}/_doc/1", f"GET /{TEXT}/_doc/4?_source=title&pretty", f"HEAD /{TEXT}/_doc/1"),
    *(f"GET /{FAMILY}/_doc/1?routing=one", f"GET /{TEXT}/_source/6", f"GET /{TEXT}/_doc/nosuch"),
    *(
        f"GET /{TEXT}/_doc/a%2Fb%20c",
        f"GET /{TEXT}/_count?q=kettle",
        f"GET /{SPREAD}/_search_shards",
    ),
    *("GET /_cat/indices/fuzz-*?h=index,docs.count&s=index", "GET /_cat/aliases?v&s=alias,index"),
    *(
        f"GET /{BOTH}/_field_caps?fields=title,body",
        f"GET /{TEXT}/_validate/query?q=title:(&explain=true",
    ),
    *("GET /_nosuch", f"PUT /{TEXT}/_search", f"DELETE /{TEXT}/_search", f"HEAD /{TEXT}/_search"),
    *(f"OPTIONS /{TEXT}/_search", "OPTIONS /", "PATCH /", f"GET /{TEXT}/_nosuch?pretty"),
    *("GET /_search/scroll/nosuch", "GET /_search/pipeline", f"GET /{TEXT}/_termvectors/1"),
    *("GET /_cluster/settings?flat_settings", "GET /_plugins/_ml/models/_search", "GET //"),
    *("GET /_resolve/index/fuzz-*", "GET /_ingest/pipeline", "GET /%66uzz-text/_doc/2", "GET /*"),
)


def make_case(seed: int, number: int) -> Case:
    """Request `number` of the run with this seed."""
    random = Random(f"{seed}:{number}")
    share = random.random()
    if share < 0.84:
        return _search(random)
    return _multi_search(random) if share < 0.92 else _other(random)


def _search(random: Random) -> Case:
    method = "GET" if random.random() < 0.3 else "POST"
    if random.random() < 0.01:
        method = random.choice(["PUT", "DELETE", "HEAD", "get", "OPTIONS"])
    with_q = random.random() < 0.12
    body = None
    if not with_q or random.random() < 0.15:
        body = make_text(random, make_search(random))
    path, parameters = make_path(random), make_parameters(random, with_q)
    if random.random() < 0.02:
        path += "/template"
        body = json.dumps({"source": make_search(random), "params": {}})
    return _with_fields(random, Case(method, path, parameters, body=body))


def _multi_search(random: Random) -> Case:
    lines = []
    for _ in range(random.choice([1, 2, 2, 3, 5])):
        lines += [_item_header(random), _item_search(random)]
    end = random.choice(["\n"] * 12 + ["", "\n\n", "\r\n"])
    start = random.choice([""] * 15 + ["\n"])
    path = "/_msearch"
    if random.random() < 0.6:
        path = f"/{make_expression(random)}{path}"
    if random.random() < 0.03:
        path += "/template"
    names = [
        *("typed_keys=true", "rest_total_hits_as_int=true", "max_concurrent_searches=1", "pretty"),
        *(
            "filter_path=responses.hits",
            "search_type=dfs_query_then_fetch",
            "nosuch=1",
            "format=yaml",
        ),
        *("pre_filter_shard_size=1", "ccs_minimize_roundtrips=false", "human", "filter_path="),
    ]
    parameters = random.sample(names, random.choice([0, 0, 0, 1, 2]))
    case = Case(
        random.choice(["POST", "POST", "GET"]),
        path,
        tuple(parameters),
        body=start + "\n".join(lines) + end,
    )
    case = _with_fields(random, case)
    ndjson = [field.replace(_JSON, "Content-Type: application/x-ndjson") for field in case.fields]
    return Case(case.method, case.path, case.parameters, tuple(ndjson), case.body, case.compressed)


def _item_header(random: Random) -> str:
    header: dict[str, Any] = {"preference": "fuzz"}
    index = make_expression(random)
    choice = random.random()
    if choice < 0.5:
        header["index"] = index
    elif choice < 0.7:
        header["index"] = random.choice(
            [index.split(","), [TEXT, SPREAD], [], OTHER, [index, OTHER]]
        )
    elif choice < 0.8:
        header = random.choice(
            [{}, {"indices": [TEXT]}, {"index": TEXT, "nosuch": 1}, {"index": None}, {"index": 3}]
        )
    if random.random() < 0.15:
        header |= random.choice(
            [
                {"search_type": "dfs_query_then_fetch"},
                {"ignore_unavailable": True},
                {"routing": "one"},
                {"request_cache": False},
                {"allow_partial_search_results": "true"},
                {"expand_wildcards": ["open", "closed"]},
            ]
        )
    text = json.dumps(header)
    return make_odd(random, text).replace("\n", " ") if random.random() < 0.02 else text


def _item_search(random: Random) -> str:
    text = json.dumps(make_search(random), ensure_ascii=random.random() < 0.5)
    return make_odd(random, text).replace("\n", " ") if random.random() < 0.03 else text


def _other(random: Random) -> Case:
    if random.random() < 0.7:
        method, _, target = random.choice(_OTHERS).partition(" ")
        path, mark, parameter = target.partition("?")
        parameters = tuple(parameter.split("&")) if mark else ()
        return _with_fields(random, Case(method, path, parameters))
    query = {"query": make_query(random)}
    endpoint = random.choice(
        [
            *("_count", "_validate/query", "_explain/1", "_search/point_in_time?keep_alive=x"),
            *("_analyze", "_mget", "_rank_eval", "_field_caps", "_search/nosuch"),
        ]
    )
    body: Any = query
    match endpoint:
        case "_analyze":
            body = {"analyzer": "english", "text": make_words(random)}
        case "_mget":
            body = {"ids": ["1", "2", "nosuch"]}
        case "_rank_eval":
            request = {"id": "a", "request": query, "ratings": []}
            body = {"requests": [request], "metric": {"precision": {"k": 5}}}
    path, mark, parameter = endpoint.partition("?")
    parameters = (parameter,) if mark else ()
    path = f"/{random.choice([TEXT, FAMILY, SPREAD])}/{path}"
    return _with_fields(random, Case("POST", path, parameters, body=json.dumps(body)))


def _with_fields(random: Random, case: Case) -> Case:
    fields = []
    if case.body is not None:
        fields.append(_JSON)
        if random.random() < 0.03:
            fields[0] = random.choice(_CONTENT_TYPES)
        elif random.random() < 0.01:
            fields.pop()
    if random.random() < 0.2:
        fields.append(f"Accept-Encoding: {random.choice(_CODINGS)}")
    if random.random() < 0.06:
        fields.append(f"Accept: {random.choice(_ACCEPTS)}")
    if random.random() < 0.06:
        fields.append(random.choice(_RARE_FIELDS))
    if random.random() < 0.005:
        fields.append(random.choice(_CONTENT_TYPES))
    random.shuffle(fields)
    compressed = case.body is not None and random.random() < 0.08
    return Case(case.method, case.path, case.parameters, tuple(fields), case.body, compressed)
