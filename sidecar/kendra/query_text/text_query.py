"""A parsed query text as an OpenSearch query: what matches, and what adds to the score.

Words match in the weighted text fields and add to the score. Field clauses and negations only
filter. A value from the user stays a value; it never becomes part of a query language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pipelines.words import WORD
from sidecar.kendra.indexes.schema import Dsl
from sidecar.kendra.query_text import query_syntax as syntax
from sidecar.kendra.query_text.query_clauses import write_wildcard
from sidecar.kendra.query_text.query_syntax import Node

MOST_WORDS_MATCH = "2<75%"
"""Of more than two words, three quarters must match."""

_MOST_CLAUSES = 900


def write_text_query(
    root: Node,
    fields: Sequence[str],
    text_match: Literal["most_fields", "best_fields", "cross_fields"],
    unstemmed: str | None = None,
) -> Dsl:
    """The query of a parsed text over `fields`, written `name^weight`.

    `unstemmed`: a further field for wildcards, with whole words. In a stemmed field, `ket*le` would
    be compared with `kettl`.

    Each word is a clause in each field, and OpenSearch refuses more than 1024 clauses
    (`indices.query.bool.max_clause_count`). So for a very long text the last fields are left out,
    and then the last words.
    """
    most_fields = max(1, _MOST_CLAUSES // max(1, _count_words(root)))
    writer = _Writer(tuple(fields[:most_fields]), text_match, unstemmed)
    return writer.write(root, tight=False)


def _count_words(node: Node) -> int:
    match node:
        case syntax.Words(text) | syntax.Phrase(text):
            return len(WORD.findall(text))
        case syntax.Wildcard():
            return 1
        case syntax.Not(part):
            return _count_words(part)
        case syntax.And(parts) | syntax.Or(parts) | syntax.TermSequence(parts):
            return sum(map(_count_words, parts))
        case syntax.Clause():
            return 0


class _Writer:
    def __init__(self, fields: tuple[str, ...], text_match: str, unstemmed: str | None) -> None:
        self._fields = fields
        self._text_match = text_match
        names = [name.partition("^")[0] for name in fields]
        self._wildcard_fields = [*names, unstemmed] if unstemmed else names

    def write(self, node: Node, tight: bool) -> Dsl:
        """The query of a node. `tight`: most of its words must match, not just one."""
        match node:
            case syntax.Words(text):
                return self._words(text, tight)
            case syntax.Phrase(text):
                return {"multi_match": {"query": text, "type": "phrase", "fields": [*self._fields]}}
            case syntax.Wildcard(pattern):
                return write_wildcard(self._wildcard_fields, pattern)
            case syntax.Clause(dsl):
                return {"bool": {"filter": [dsl]}}
            case syntax.Not(part):
                return {"bool": {"must_not": [self.write(part, tight=False)]}}
            case syntax.Or(parts):
                should = [self.write(part, tight=True) for part in parts]
                return {"bool": {"should": should, "minimum_should_match": 1}}
            case syntax.And(parts):
                # Of the words on each side of an AND, most must match, not just one.
                return self._together(parts, (), tight=True)
            case syntax.TermSequence(parts):
                loose = (syntax.Words, syntax.Wildcard)
                return self._together(
                    [part for part in parts if not isinstance(part, loose)],
                    [part for part in parts if isinstance(part, loose)],
                    tight,
                )

    def _together(self, required: Sequence[Node], loose: Sequence[Node], tight: bool) -> Dsl:
        """All of `required` must match; one of `loose` too, if nothing else adds to the score."""
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
        ends = [match.end() for match in WORD.finditer(text)]
        if len(ends) > _MOST_CLAUSES:
            text = text[: ends[_MOST_CLAUSES - 1]]
        query: Dsl = {"query": text, "type": self._text_match, "fields": [*self._fields]}
        if tight:
            query["minimum_should_match"] = MOST_WORDS_MATCH
        return {"multi_match": query}
