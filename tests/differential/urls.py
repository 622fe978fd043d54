"""Paths and query strings of searches, as clients spell them and as they should not."""

from __future__ import annotations

from random import Random
from urllib.parse import quote, quote_plus

from tests.differential.corpus import BOTH, FAMILY, OTHER, SPREAD, TEXT
from tests.differential.queries import make_words

_PLAIN = (TEXT, TEXT, FAMILY, SPREAD, SPREAD, BOTH)
_OTHER_EXPRESSIONS = (
    *(f"{TEXT},{SPREAD}", f"{TEXT},{FAMILY},{SPREAD}", f"{BOTH},{TEXT}", f"{TEXT}%2C{SPREAD}"),
    *("fuzz%2Dtext", "fuzz-te%78t", f"{TEXT},", f",{TEXT}", f"{TEXT},{OTHER}", OTHER, OTHER),
    *("fuzz-*", "*", "_all", f"{TEXT},-{TEXT}", f"fuzz-*,-{OTHER}", "nosuch", f"{TEXT},nosuch"),
    *("fuzz-te?t", "%3Cfuzz-text-%7Bnow%2Fd%7D%3E", f"remote:{TEXT}", "fuzz+text", "FUZZ-TEXT"),
    *("%zz", "fuzz%", "f%C3%BCr", "f\udcc3\udcbcr", f"{TEXT}%00", f"{TEXT}%20", "_doc", "."),
)
_ODD_PATHS = (
    *(f"//{TEXT}/_search", f"/{TEXT}//_search", f"/{TEXT}/_search/", f"/{TEXT}/./_search"),
    *(f"/{OTHER}/../{TEXT}/_search", f"/{TEXT}/%5Fsearch", f"/{TEXT}/_SEARCH", "/_search"),
    *(f"/{TEXT}/_doc/_search", "/_search", f"/{TEXT}/_search%3Fsize=1", f"/{TEXT};a=b/_search"),
)
_COUNTS = ("0", "1", "3", "5", "12", "20", "25", "%31", "+4", "10001")
_BOOLS = ("true", "true", "true", "false", "false", "")
_PATTERNS = (
    *("hits", "hits.hits", "hits.hits._id", "took,hits.hits._id,hits.hits._score", "**", ""),
    *("-hits.hits._score", "-took", "hits.hits._source.title", "**._id", "nosuch", "*.hits"),
    *("hits.total", "hits.hits._i*,hits.hits._score,_shards", "hits,_shards,timed_out", "hits.*"),
    *("-hits.hits._source.raw", "-hits.hits", "hi%2A", "aggregations", "-_shards,-took"),
    *("hits,-hits.hits._source.body", "hits.hits.highlight,_shards", "*", "hits.hits,_shards,took"),
    *("_shards,timed_out,terminated_early,hits.hits._*", "_shards.failed,hits.hits,timed*,term*"),
    *("timed_out,_shards,hits.hits._id,hits.hits._index,hits.hits._score", "t*,_shards,h*.hits._*"),
    *("_shards,timed_out,hits,-hits.hits._source.body", "-hits.hits._source", "-hits.max_score"),
    *("timed_out,_shards,**._id,**._index,**._score", "*,-suggest,-hits.hits.highlight"),
)

# A parameter's weight, and what OpenSearch takes for it.
_VALUES: dict[str, tuple[float, tuple[str, ...]]] = {
    "from": (3, _COUNTS),
    "size": (4, _COUNTS),
    "sort": (1, ("_score", "_score:desc", "_score:asc", "rank", "rank:desc,_score", "")),
    "_source": (2, ("true", "false", "title", "title,body", "*", "t*,body", "", "nosuch")),
    "_source_includes": (1, ("title", "title,body", "*", "body.*", "")),
    "_source_excludes": (1, ("raw", "body", "*", "title,body", "")),
    "stored_fields": (1, ("body", "_source", "_none_", "body,_source", "")),
    "docvalue_fields": (1, ("rank", "rank,tags")),
    "explain": (1, _BOOLS),
    "version": (1, _BOOLS),
    "seq_no_primary_term": (1, _BOOLS),
    "include_named_queries_score": (0.5, _BOOLS),
    "track_scores": (1, _BOOLS),
    "track_total_hits": (1.5, ("true", "false", "5", "1", "-1")),
    "rest_total_hits_as_int": (1, _BOOLS),
    "typed_keys": (1, _BOOLS),
    "timeout": (0.7, ("10s", "1m")),
    "terminate_after": (0.4, ("0", "2", "1000")),
    "cancel_after_time_interval": (0.5, ("10s", "-1")),
    "batched_reduce_size": (0.7, ("2", "3", "512")),
    "pre_filter_shard_size": (0.7, ("1", "128")),
    "max_concurrent_shard_requests": (0.7, ("1", "5")),
    "ccs_minimize_roundtrips": (0.3, _BOOLS),
    "allow_partial_search_results": (0.7, _BOOLS),
    "request_cache": (0.7, _BOOLS),
    "routing": (1, ("one", "one,two", "")),
    "search_type": (1.5, ("query_then_fetch", "dfs_query_then_fetch")),
    "ignore_unavailable": (1, _BOOLS),
    "allow_no_indices": (0.7, _BOOLS),
    "expand_wildcards": (0.7, ("open", "all", "none")),
    "ignore_throttled": (0.3, _BOOLS),
    "stats": (0.3, ("a,b",)),
    "phase_took": (0.7, _BOOLS),
    "scroll": (0.4, ("1s",)),
    "search_pipeline": (0.5, ("_none",)),
    "filter_path": (3, _PATTERNS),
    "pretty": (2, _BOOLS),
    "human": (1, _BOOLS),
    "error_trace": (0.5, _BOOLS),
    "format": (0.5, ("json", "yaml", "cbor", "smile", "application/json")),
}
# Only with `q`, elsewhere they are errors.
_VALUES_WITH_Q: dict[str, tuple[float, tuple[str, ...]]] = {
    "df": (1, ("title", "body")),
    "analyzer": (1, ("english",)),
    "analyze_wildcard": (1, _BOOLS),
    "lenient": (1, _BOOLS),
    "default_operator": (1, ("AND", "or")),
}
_WRONG = (
    *(
        "from=-1",
        "from=x",
        "from=",
        "from=1.0",
        "from=1e1",
        "size=-1",
        "size=x",
        "size=",
        "size=5.",
    ),
    *("sort=nosuch", "docvalue_fields=nosuch", "explain=x", "pretty=x", "pretty=True", "human=1"),
    *("track_total_hits=x", "terminate_after=-1", "timeout=x", "search_type=nosuch", "scroll=x"),
    *("expand_wildcards=x", "batched_reduce_size=1", "source=%7B%7D", "source=x", "format=nosuch"),
    *("source_content_type=application/json", "search_pipeline=nosuch", "verbose_pipeline=true"),
    *("streaming_mode=x", "nosuch=1", "df=title", "lenient=true", "analyzer=nosuch", "nosuch"),
    *("suggest_field=body", "suggest_field=body&suggest_text=koppet", "rest_total_hits_as_int=x"),
    *("preference=_nosuch", "_source=false&_source=true", "version=x", "typed_keys=x", "q="),
)


def make_path(random: Random) -> str:
    """The path of a search."""
    if random.random() < 0.02:
        return random.choice(_ODD_PATHS)
    return f"/{make_expression(random)}/_search"


def make_expression(random: Random) -> str:
    """An index list as a path has it; nearly always of indices that have a route."""
    return random.choice(_PLAIN if random.random() < 0.88 else _OTHER_EXPRESSIONS)


def make_parameters(random: Random, with_q: bool) -> tuple[str, ...]:
    """The parameters of a search, as spelled. `preference` keeps the hits' order steady."""
    made = ["preference=fuzz"]
    table = {**_VALUES, **_VALUES_WITH_Q} if with_q else _VALUES
    weights = [weight for weight, _ in table.values()]
    count = random.choice([0, 0, 0, 1, 1, 2, 3])
    for name in random.choices(list(table), weights, k=count):
        made.append(_spelled(random, name, random.choice(table[name][1])))
    if random.random() < 0.05:
        made.append(random.choice(_WRONG))
    if with_q:
        words = make_words(random)
        words = random.choice([words, words, f"title:{words}", f'"{words}"', f"{words} -river"])
        made.append(_spelled(random, "q", random.choice([quote, quote_plus])(words)))
    random.shuffle(made)
    if random.random() < 0.02:
        place = random.randrange(len(made))
        made[place] += random.choice(
            [
                ";size=3",
                ";",
                "&size=2&size=4",
                "&&",
                "=",
                "#x",
                "%",
                "%2",
                "&=x",
                "\udcc3\udca9",
                "+",
            ]
        )
    return tuple(made)


def _spelled(random: Random, name: str, value: str) -> str:
    if value == "" and random.random() < 0.7:
        return name  # `pretty` is the same as `pretty=`
    if random.random() < 0.01:
        name = name.replace("i", "%69")
    return f"{name}={value}"
