"""A parsed query text as the query of a search: what matches, and what adds to the score.

Words are looked for in the weighted text fields and add to the score; field clauses and negations
only limit. Every value of the user's is a value here too, never a part of a query language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from sidecar.kendra import query_syntax as syntax
from sidecar.kendra.query_clauses import write_wildcard
from sidecar.kendra.query_syntax import Node
from sidecar.kendra.schema import Dsl

MOST_WORDS_MATCH = "2<75%"
"""Of more than two words, three quarters must match."""

_MOST_CLAUSES = 900
_WORD = re.compile(r"\w+")


def write_text_query(
    root: Node,
    fields: Sequence[str],
    text_match: Literal["most_fields", "best_fields", "cross_fields"],
    *,
    tight: bool = False,
) -> Dsl:
    """The query of a parsed text over `fields`, written `name^weight`.

    `tight`: most of the words must match, for searches whose order is not that of relevance. For
    a very long text the last fields, and at last words, are left out: each word is a clause in
    each field, and OpenSearch refuses more than 1024 (`indices.query.bool.max_clause_count`).
    """
    kept = max(1, _MOST_CLAUSES // max(1, _count_words(root)))
    return _Writer(tuple(fields[:kept]), text_match).write(root, tight)


def _count_words(node: Node) -> int:
    match node:
        case syntax.Words(text) | syntax.Phrase(text):
            return len(_WORD.findall(text))
        case syntax.Wildcard():
            return 1
        case syntax.Not(part):
            return _count_words(part)
        case syntax.And(parts) | syntax.Or(parts) | syntax.Sequence(parts):
            return sum(map(_count_words, parts))
        case syntax.Clause():
            return 0


class _Writer:
    def __init__(self, fields: tuple[str, ...], text_match: str) -> None:
        self._fields = fields
        self._text_match = text_match

    def write(self, node: Node, tight: bool) -> Dsl:
        match node:
            case syntax.Words(text):
                return self._words(text, tight)
            case syntax.Phrase(text):
                return {"multi_match": {"query": text, "type": "phrase", "fields": [*self._fields]}}
            case syntax.Wildcard(pattern):
                return write_wildcard([name.partition("^")[0] for name in self._fields], pattern)
            case syntax.Clause(dsl):
                return {"bool": {"filter": [dsl]}}
            case syntax.Not(part):
                return {"bool": {"must_not": [self.write(part, tight=False)]}}
            case syntax.Or(parts):
                should = [self.write(part, tight=True) for part in parts]
                return {"bool": {"should": should, "minimum_should_match": 1}}
            case syntax.And(parts):
                # What stands beside an AND is wanted whole, not any one word of it.
                return self._together(parts, (), tight=True)
            case syntax.Sequence(parts):
                loose = (syntax.Words, syntax.Wildcard)
                return self._together(
                    [part for part in parts if not isinstance(part, loose)],
                    [part for part in parts if isinstance(part, loose)],
                    tight,
                )

    def _together(self, required: Sequence[Node], loose: Sequence[Node], tight: bool) -> Dsl:
        """All that is required; one of the loose ones too, unless something else is scored."""
        must: list[Dsl] = []
        limits: list[Dsl] = []
        must_not: list[Dsl] = []
        for part in required:
            match part:
                case syntax.Clause(dsl):
                    limits.append(dsl)
                case syntax.Not(inner):
                    must_not.append(self.write(inner, tight=False))
                case _:
                    must.append(self.write(part, tight))
        query: Dsl = {}
        if must:
            query["must"] = must
        if limits:
            query["filter"] = limits
        if must_not:
            query["must_not"] = must_not
        if loose:
            query["should"] = [self.write(part, tight) for part in loose]
            query["minimum_should_match"] = 0 if must else 1
        return {"bool": query}

    def _words(self, text: str, tight: bool) -> Dsl:
        ends = [match.end() for match in _WORD.finditer(text)]
        if len(ends) > _MOST_CLAUSES:
            text = text[: ends[_MOST_CLAUSES - 1]]
        query: Dsl = {"query": text, "type": self._text_match, "fields": [*self._fields]}
        if tight:
            query["minimum_should_match"] = MOST_WORDS_MATCH
        return {"multi_match": query}
