"""Kendra's advanced query syntax: a text becomes a tree of what it asks for.

    query     alternatives joined by OR
    alternative   sequences joined by AND
    sequence  items, each with a NOT before it or without: words, "phrases", clauses, (queries)

Operators are upper-case, AND binds closer than OR, and words beside one another are one item. In a
sentence that is wholly in capitals nothing is an operator.
Source: "Searching with advanced query syntax" of the Amazon Kendra developer guide. What a user
types reaches OpenSearch only as values: `query_string` would let through regular expressions and
the names of fields that are nobody's business.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

from pipelines.documents import replace_surrogates
from sidecar.config_kendra import KendraIndex
from sidecar.kendra.query_clauses import FIELD_NAME, InvalidSyntax, read_clause, read_wildcard
from sidecar.kendra.schema import Dsl

WARNING_CODE = "QUERY_LANGUAGE_INVALID_SYNTAX"

MOST_DEPTH = 20
MOST_SIGNS = 100
"""Operators, parentheses, phrases and clauses: OpenSearch refuses searches of too many parts."""

_PHRASE = re.compile(r'"([^"]*)"')
_WORD = re.compile(r'[^\s()"]+')
_BLANKS = re.compile(r"\s*")
_SIGNS = re.compile(r'[\s()\[\]{}"<>=*]+')
# A tuple: nodes are looked for in it too, and some cannot be hashed.
_OPERATORS = ("AND", "OR", "NOT")
_SENTENCE_ENDS = ".,;:!?"
# So many beside each other, all in capitals: `TAX LAW AND NEW YORK` is still an expression.
_SENTENCE_WORDS = 3
_SYNTAX_SIGN = re.compile(r'[":*()\[\]{}]')


@dataclass(frozen=True, slots=True)
class Words:
    """Plain words; any of them will do."""

    text: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that must stand in this order."""

    text: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The beginning of a word, and what may follow: `Cloud*`."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Clause:
    """`name:value`, as the filter that it is."""

    dsl: Dsl


@dataclass(frozen=True, slots=True)
class Not:
    """What must not match."""

    part: Node


@dataclass(frozen=True, slots=True)
class And:
    """Everything must match."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One at least must match."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """Items without operators between: words may match, what is more than words must."""

    parts: tuple[Node, ...]


Node = Words | Phrase | Wildcard | Clause | Not | And | Or | Sequence


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """What a query text asks for.

    `words` is what a model reads: the text itself where it has no syntax, else its words and
    phrases without what is negated; empty when only fields are asked for. `warning` says why the
    text was no query by the syntax, in which case its words alone are looked for.
    """

    root: Node
    words: str
    warning: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the text is words and nothing else."""
        return isinstance(self.root, Words)


def parse_query(text: str, index: KendraIndex) -> ParsedQuery:
    """Read a query text; a mistake in it becomes a warning, never an error."""
    text = replace_surrogates(text).strip()
    try:
        tokens = list(_tokenise(text, index, _OPERATORS if _has_operators(text) else ()))
        if sum(not isinstance(token, Words) for token in tokens) > MOST_SIGNS:
            raise InvalidSyntax(f"The query has more than {MOST_SIGNS} operators and clauses.")
        root = _Parser(tokens).parse() if tokens else Words("")
    except InvalidSyntax as mistake:
        words = _drop_syntax(text, index)
        return ParsedQuery(Words(words), words, str(mistake))
    if isinstance(root, Words):
        # Parentheses around words mean nothing, so the model may see them.
        return ParsedQuery(Words(text), text)
    # A tree gathers words around a phrase; a model reads them in the order in which they stand.
    nodes = [token for token in tokens if isinstance(token, Node)]
    found = nodes if "NOT" not in tokens else [root]
    return ParsedQuery(root, " ".join(text for node in found for text in _find_words(node)))


class _Parser:
    """Recursive descent over the tokens; each method reads one rule and leaves `at` behind it."""

    def __init__(self, tokens: list[Node | str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        """The whole text."""
        root = self._read_query()
        if self._at < len(self._tokens):
            raise InvalidSyntax("A parenthesis is closed that was not opened.")
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
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

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
        taken = self._next == sign
        self._at += taken
        return taken


def _has_operators(text: str) -> bool:
    """Whether an AND of the text is an operator, and not a word of a sentence in capitals.

    Where all is in capitals they tell nothing. Several words beside each other are a sentence
    then, unless other signs of the syntax say that an expression is meant.
    """
    if any(char.islower() for char in text) or _SYNTAX_SIGN.search(text):
        return True
    runs = groupby(text.split(), _OPERATORS.__contains__)
    return all(
        is_operator or sum(map(str.isupper, run)) < _SENTENCE_WORDS for is_operator, run in runs
    )


def _tokenise(text: str, index: KendraIndex, operators: Collection[str]) -> Iterator[Node | str]:
    """The operators and parentheses of a text as strings, all else as nodes."""
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
    """The words that a document should have, in their order."""
    match node:
        case Words(text) | Phrase(text):
            yield text
        case Wildcard(pattern):
            yield pattern.replace("*", " ").strip()
        case And(parts) | Or(parts) | Sequence(parts):
            for part in parts:
                yield from _find_words(part)


def _drop_syntax(text: str, index: KendraIndex) -> str:
    """The words of a text that is no query: no signs, no operators, no names of known fields."""
    known = (*index.attributes, "_document_title", "_document_body")
    bare = FIELD_NAME.sub(lambda match: " " if match[1] in known else f"{match[1]} ", text)
    words = [word for word in _SIGNS.split(bare) if word and word not in _OPERATORS]
    return " ".join(words) or text
