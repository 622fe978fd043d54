"""Queries of every kind, most of them right, some of them wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.differential.corpus import RARE, WORDS

Query = dict[str, Any]

_WRONG: tuple[Any, ...] = (
    *({}, [], None, "kettle", {"match": {}, "term": {}}, {"nosuch": {}}, {"match": {"body": []}}),
    {"neural": {"vector": {"query_text": "copper", "k": 3}}},
    {"match": {"body": {"query": "copper", "nosuch": True}}},
    {"match": {"body": {"query": "copper", "operator": "xor"}}},
    {"match": {"body": {"query": "copper", "minimum_should_match": "x"}}},
    {"match": {"body": {"query": "copper", "boost": -1}}},
    {"match": {"body": {"query": "copper", "analyzer": "nosuch"}}},
    {"match": {"rank": "copper"}},
    {"match": {"body": None}},
    {"multi_match": {"query": "copper", "type": "nosuch"}},
    {"multi_match": {"query": "copper", "fields": ["*"]}},
    {"query_string": {"query": "copper AND ("}},
    {"query_string": {"query": "copper", "nosuch": 1}},
    {"hybrid": {"queries": [{"match": {"body": "copper"}}]}},
    {"template": {"match": {"title": "${x}"}}},
    {"has_parent": {"parent_type": "question", "query": {"match": {"body": "copper"}}}},
    {"script_score": {"query": {"match_all": {}}, "script": {"source": "doc['x'].value"}}},
)
_TEXT_FIELDS = ("title", "body", "title.en", "body.en", "note", "title", "body", "body")


def make_words(random: Random, most: int = 5) -> str:
    """What a user types: words of the documents, now and then something else."""
    if random.random() < 0.01:
        return RARE
    words = random.choices(WORDS, k=random.randint(1, most))
    if random.random() < 0.08:
        words.append(
            random.choice(["caf\u00e9", "\U0001f600", "42", "*", "AND", "\u92fc", " ", ""])
        )
    return " ".join(words)


def make_query(random: Random, depth: int = 2) -> Any:
    """One query; `depth` bounds those that hold others."""
    if random.random() < 0.01:
        return random.choice(_WRONG)
    kinds: list[Callable[[Random, int], Query]] = [_match, _match, _match, _multi_match, _syntax]
    if depth:
        kinds += [_bool, _bool, _wrapping]
    kinds.append(_rare_kind if random.random() < 0.5 else _match)
    return random.choice(kinds)(random, depth)


def _field(random: Random) -> str:
    return "nosuch" if random.random() < 0.02 else random.choice(_TEXT_FIELDS)


def _match(random: Random, depth: int) -> Query:
    kind = random.choice(
        ["match"] * 8 + ["match_phrase", "match_phrase_prefix", "match_bool_prefix"]
    )
    text: Any = make_words(random, 2 if "phrase" in kind else 5)
    if random.random() < 0.03:
        text = random.choice([7, 1.5, True])
    if random.random() < 0.4:
        return {kind: {_field(random): text}}
    options: Query = {"query": text}
    if kind == "match" and random.random() < 0.5:
        options |= random.choice(
            [
                {"operator": random.choice(["and", "or", "AND"])},
                {"minimum_should_match": random.choice([1, "50%", "2<-1"])},
                {"fuzziness": "AUTO"},
                {"boost": random.choice([2, 0.5, "3", 1e10])},
                {"_name": "first"},
                {"zero_terms_query": "all"},
                {"analyzer": "english"},
            ]
        )
    return {kind: {_field(random): options}}


def _multi_match(random: Random, depth: int) -> Query:
    options: Query = {"query": make_words(random)}
    if random.random() < 0.8:
        options["fields"] = random.choice(
            [["title^3", "body"], ["title", "note"], ["t*", "body.en"], "body"]
        )
    if random.random() < 0.5:
        options["type"] = random.choice(
            "best_fields most_fields cross_fields phrase phrase_prefix bool_prefix".split()
        )
    return {"multi_match": options}


def _syntax(random: Random, depth: int) -> Query:
    words = make_words(random)
    text = random.choice(
        [
            words,
            words,
            f"title:({words}) AND rank:[2 TO 8]",
            f'"{words}"~2 kettle^3 -copper',
            f"+copper {words}*",
            f"NOT {words}",
            f"body:/cop+er/ OR {words}",
        ]
    )
    options: Query = {"query": text}
    kind = random.choice(["query_string", "simple_query_string"])
    if random.random() < 0.5:
        options |= {"fields": ["title", "body^2"]}
    if random.random() < 0.2:
        options |= random.choice([{"default_operator": "and"}, {"lenient": True}])
    return {kind: options}


def _bool(random: Random, depth: int) -> Query:
    clauses: Query = {}
    for name in random.sample(["must", "should", "filter", "must_not"], random.randint(1, 3)):
        if name in ("must", "should"):
            made = [make_query(random, depth - 1) for _ in range(random.randint(1, 3))]
        else:
            made = [_rare_kind(random, 0)]
        clauses[name] = made[0] if len(made) == 1 and random.random() < 0.5 else made
    if random.random() < 0.2:
        clauses["minimum_should_match"] = random.choice([0, 1, "1", "75%"])
    return {"bool": clauses}


def _wrapping(random: Random, depth: int) -> Query:
    inner = make_query(random, depth - 1)
    return random.choice(
        [
            {"function_score": {"query": inner, "functions": [{"weight": 2}]}},
            {
                "function_score": {
                    "query": inner,
                    "field_value_factor": {"field": "rank", "missing": 1, "modifier": "log1p"},
                    "boost_mode": random.choice(["multiply", "replace", "sum"]),
                }
            },
            {"function_score": {"query": inner, "random_score": {"seed": 7, "field": "rank"}}},
            {"script_score": {"query": inner, "script": {"source": "_score * 2 + 1"}}},
            {"script_score": {"query": inner, "script": {"source": "_score / 3"}}},
            {"dis_max": {"queries": [inner, _match(random, 0)], "tie_breaker": 0.3}},
            {"constant_score": {"filter": inner, "boost": 1.2}},
            {"boosting": {"positive": inner, "negative": _match(random, 0), "negative_boost": 0.5}},
            {
                "nested": {
                    "path": "comments",
                    "query": {"match": {"comments.text": make_words(random)}},
                    "inner_hits": random.choice([{}, {"size": 1, "highlight": {"fields": {}}}]),
                    "score_mode": "max",
                    "ignore_unmapped": True,
                }
            },
            {
                "has_child": {
                    "type": "answer",
                    "query": inner,
                    "score_mode": random.choice(["max", "none", "sum"]),
                    "ignore_unmapped": True,
                }
            },
            {
                "has_parent": {
                    "parent_type": "question",
                    "query": inner,
                    "score": True,
                    "ignore_unmapped": True,
                }
            },
            {"wrapper": {"query": base64.b64encode(json.dumps(inner).encode()).decode()}},
        ]
    )


def _rare_kind(random: Random, depth: int) -> Query:
    word = random.choice(WORDS)
    return random.choice(
        [
            {"match_all": {}},
            {"match_all": {"boost": 1.5}},
            {"term": {"tags": random.choice(["red", "kind-1"])}},
            {"term": {"title": {"value": word, "boost": 2}}},
            {"terms": {"rank": [1, 2, "3"]}},
            {"range": {"rank": {"gte": random.randint(0, 5), "lt": 9}}},
            {"range": {"day": {"gte": "2024-03-01", "lte": "now"}}},
            {"exists": {"field": random.choice(["body", "meta.author", "note"])}},
            {"prefix": {"title": word[:3]}},
            {"wildcard": {"body": {"value": f"{word[:2]}*{word[-1]}"}}},
            {"regexp": {"body": f"{word[:2]}.*"}},
            {"fuzzy": {"body": {"value": word[:-1]}}},
            {"ids": {"values": [str(random.randint(0, 70)) for _ in range(5)]}},
            {"more_like_this": {"fields": ["body"], "like": word, "min_term_freq": 1}},
            {"intervals": {"body": {"match": {"query": make_words(random, 2), "max_gaps": 5}}}},
            {"combined_fields": {"query": make_words(random), "fields": ["title", "body"]}},
            {"span_near": {"clauses": [{"span_term": {"body": word}}], "slop": 3}},
        ]
    )
