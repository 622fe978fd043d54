"""Kendra's advanced query syntax: parses a query text into a tree.

    query        alternatives, joined by OR
    alternative  sequences, joined by AND
    sequence     items, each with or without NOT: words, "phrases", clauses, (queries)

Operators are in capitals. AND binds more tightly than OR. Adjacent words are one item. In a
sentence written all in capitals, AND, OR and NOT are ordinary words.
Source: "Searching with advanced query syntax" of the Amazon Kendra developer guide. A user's text
reaches OpenSearch only as values. OpenSearch's own `query_string` would also accept regular
expressions, and the names of fields that callers must not search.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

from pipelines.texts import replace_surrogates
from sidecar.config.kendra import KendraIndex
from sidecar.kendra.indexes.schema import Dsl
from sidecar.kendra.query_text.query_clauses import (
    FIELD_NAME,
    InvalidSyntax,
    read_clause,
    read_wildcard,
)

WARNING_CODE = "QUERY_LANGUAGE_INVALID_SYNTAX"

MOST_DEPTH = 20
MOST_SIGNS = 100
"""Maximum number of operators, parentheses, phrases and clauses: OpenSearch refuses searches with
too many clauses."""

_PHRASE = re.compile(r'"([^"]*)"')
_WORD = re.compile(r'[^\s()"]+')
_BLANKS = re.compile(r"\s*")
_SIGNS = re.compile(r'[\s()\[\]{}"<>=*]+')
# A tuple, not a set: nodes are compared with it too, and some of them cannot be hashed.
_OPERATORS = ("AND", "OR", "NOT")
_SENTENCE_ENDS = ".,;:!?"
# Three adjacent words in capitals are a sentence: `TAX LAW AND NEW YORK` is still an expression.
_SENTENCE_WORDS = 3
_SYNTAX_SIGN = re.compile(r'[":*()\[\]{}]')


@dataclass(frozen=True, slots=True)
class Words:
    """Plain words; a document may match any of them."""

    text: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that a document must have in this order, next to each other."""

    text: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A pattern for a word: `Cloud*`."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Clause:
    """`name:value`, as a filter."""

    dsl: Dsl


@dataclass(frozen=True, slots=True)
class Not:
    """A part that must not match."""

    part: Node


@dataclass(frozen=True, slots=True)
class And:
    """Parts that must all match."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Parts; at least one must match."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class TermSequence:
    """Items without operators between them. Words and wildcards may match, all others must."""

    parts: tuple[Node, ...]


Node = Words | Phrase | Wildcard | Clause | Not | And | Or | TermSequence


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A parsed query text.

    `words` is the text for the models: the text itself if it has no syntax, else its words and
    phrases, without negated parts. It is empty if the text has only clauses. `warning` says what is
    wrong with the syntax; if it is set, the search is for the words alone.
    """

    root: Node
    words: str
    warning: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the text consists of words only."""
        return isinstance(self.root, Words)


def parse_query(text: str, index: KendraIndex) -> ParsedQuery:
    """Parse a query text. A mistake in it becomes a warning, never an error."""
    text = replace_surrogates(text).strip()
    try:
        tokens = list(_tokenise(text, index, _OPERATORS if _has_operators(text) else ()))
        if sum(not isinstance(token, Words) for token in tokens) > MOST_SIGNS:
            raise InvalidSyntax(f"The query has more than {MOST_SIGNS} operators and clauses.")
        root = _Parser(tokens).parse() if tokens else Words("")
    except InvalidSyntax as error:
        words = _drop_syntax(text, index)
        return ParsedQuery(Words(words), words, str(error))
    if isinstance(root, Words):
        # Parentheses around words have no meaning; the models may read them.
        return ParsedQuery(Words(text), text)
    # The tree puts all words of a sequence before its phrases; models read the order of the text.
    nodes = [token for token in tokens if isinstance(token, Node)]
    readable = nodes if "NOT" not in tokens else [root]
    return ParsedQuery(root, " ".join(text for node in readable for text in _find_words(node)))


class _Parser:
    """A recursive-descent parser. Each method parses one rule and moves `_at` past it."""

    def __init__(self, tokens: list[Node | str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        """The whole text."""
        root = self._read_query()
        if self._at < len(self._tokens):
            raise InvalidSyntax("A closing parenthesis has no opening one.")
        return root

    def _read_query(self) -> Node:
        if self._next in _OPERATORS:
            raise InvalidSyntax(f"{self._next} must stand between words.")
        parts = [self._read_alternative()]
        while self._take("OR"):
            parts.append(self._read_alternative())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _read_alternative(self) -> Node:
        parts = [self._read_sequence()]
        while self._take("AND"):
            parts.append(self._read_sequence())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _read_sequence(self) -> Node:
        words: list[str] = []
        parts: list[Node] = []
        while self._next not in (None, ")", "AND", "OR"):
            part = Not(self._read_item()) if self._take("NOT") else self._read_item()
            if isinstance(part, Words):
                words.append(part.text)
            else:
                parts.append(part)
        if words:
            parts.insert(0, Words(" ".join(words)))
        if not parts:
            raise InvalidSyntax("An operator or a parenthesis has no words.")
        return parts[0] if len(parts) == 1 else TermSequence(tuple(parts))

    def _read_item(self) -> Node:
        item = self._next
        self._at += 1
        if isinstance(item, Node):
            return item
        if item != "(":
            raise InvalidSyntax("NOT must stand before words.")
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise InvalidSyntax(f"Parentheses are nested deeper than {MOST_DEPTH}.")
        inner = self._read_query()
        if not self._take(")"):
            raise InvalidSyntax("A parenthesis is not closed.")
        self._depth -= 1
        return inner

    @property
    def _next(self) -> Node | str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, sign: str) -> bool:
        is_next = self._next == sign
        self._at += is_next
        return is_next


def _has_operators(text: str) -> bool:
    """Whether AND, OR and NOT are operators, not words of a sentence in capitals.

    If all letters are capitals, several adjacent words mean a sentence, unless the text has other
    signs of the syntax.
    """
    if any(char.islower() for char in text) or _SYNTAX_SIGN.search(text):
        return True
    runs = groupby(text.split(), _OPERATORS.__contains__)
    return all(
        is_operator or sum(map(str.isupper, run)) < _SENTENCE_WORDS for is_operator, run in runs
    )


def _tokenise(text: str, index: KendraIndex, operators: Collection[str]) -> Iterator[Node | str]:
    """The operators and parentheses of a text as strings, everything else as nodes."""
    at = _skip_blanks(text, 0)
    while at < len(text):
        if text[at] in "()":
            yield text[at]
            at += 1
        elif phrase := _PHRASE.match(text, at):
            if not phrase[1].strip():
                raise InvalidSyntax("Quotation marks have no words between them.")
            yield Phrase(phrase[1].strip())
            at = phrase.end()
        elif text[at] == '"':
            raise InvalidSyntax("A quotation mark is not closed.")
        elif clause := read_clause(text, at, index):
            yield Clause(clause[0])
            at = clause[1]
        else:
            word, at = _read_word(text, at, operators)
            yield word
        at = _skip_blanks(text, at)


def _read_word(text: str, at: int, operators: Collection[str]) -> tuple[Node | str, int]:
    match = _WORD.match(text, at)
    assert match
    word = match[0]
    if word in operators:
        return word, match.end()
    if "*" in word:
        return Wildcard(read_wildcard(word.rstrip(_SENTENCE_ENDS))), match.end()
    return Words(word), match.end()


def _skip_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _find_words(node: Node) -> Iterator[str]:
    """The words and phrases that a document should have, in the order of the text."""
    match node:
        case Words(text) | Phrase(text):
            yield text
        case Wildcard(pattern):
            yield pattern.replace("*", " ").strip()
        case And(parts) | Or(parts) | TermSequence(parts):
            for part in parts:
                yield from _find_words(part)


def _drop_syntax(text: str, index: KendraIndex) -> str:
    """The words of a text with invalid syntax, without operators and names of known fields."""
    names = (*index.attributes, "_document_title", "_document_body")
    unnamed = FIELD_NAME.sub(lambda match: " " if match[1] in names else f"{match[1]} ", text)
    words = [word for word in _SIGNS.split(unnamed) if word and word not in _OPERATORS]
    return " ".join(words) or text
