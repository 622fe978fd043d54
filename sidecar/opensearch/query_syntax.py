"""The words in Lucene's query syntax, without its operators.

There are two dialects: that of `query_string` and the `q` parameter (fields, ranges, regular
expressions, AND, OR, NOT), and that of `simple_query_string` (only `+ | - " * ( ) ~`). The readers
here never fail. For a text that Lucene refuses they return some words or none, and OpenSearch
answers with an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_QUERY_STRING = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<phrase>"(?:[^"\\]|\\.)*"?)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<vanish>                                 # ranges, regular expressions, comparisons
          [\[{](?:[^\]}\\"]|\\.|"[^"]*")*[\]}]?
        | /(?:[^/\\]|\\.)*/
        | [<>]=?(?:[^\s()\\]|\\.)*
      )
    | (?P<not>NOT(?=[\s(]|$) | [-!](?=\S))       # before a blank these are no operators
    | (?P<ignore>[-!] | (?:AND|OR)(?=[\s(]|$) | && | \|\| | \+ | [\^~][0-9.]*)
    | (?P<field>(?:[^\s+\-!(){}\[\]^"~:/\\&|<>]|\\.)(?:[^\s!(){}\[\]^"~:/\\]|\\.)*)\s*:
    | (?P<term>(?:[^\s(){}\[\]^"~\\]|\\.)+)
    | (?P<stray>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_SIMPLE_QUERY_STRING = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<phrase>"(?:[^"\\]|\\.)*"?)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<not>-(?=\S))                           # before a blank it is no operator
    | (?P<ignore>[-+|] | ~[0-9]*)
    | (?P<term>(?:[^\s()"|+~\\]|\\.)+)
    | (?P<stray>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def read_query_string_words(text: str, is_text_field: Callable[[str], bool]) -> str:
    """The words of a `query_string`, without negated words, ranges and regular expressions, and
    without clauses on fields for which `is_text_field` is false."""
    return _words(text, _QUERY_STRING, "*?", is_text_field, doubled_cancels=False)


def read_simple_query_string_words(text: str) -> str:
    """The words of a `simple_query_string`, without negated words; two minus signs cancel out."""
    return _words(text, _SIMPLE_QUERY_STRING, "*", lambda field: True, doubled_cancels=True)


def _words(
    text: str,
    tokens: re.Pattern[str],
    wildcards: str,
    is_text_field: Callable[[str], bool],
    *,
    doubled_cancels: bool,
) -> str:
    words: list[str] = []
    dropped = [False]  # for each open parenthesis, whether its content is dropped
    drop_next = False  # whether a negation or another field stands before the next clause
    for token in tokens.finditer(text):
        kind = token.lastgroup
        if kind == "not":
            drop_next = not (drop_next and doubled_cancels)
        elif kind == "field":
            drop_next = drop_next or not is_text_field(_unescape(token["field"]))
        elif kind == "open":
            dropped.append(dropped[-1] or drop_next)
            drop_next = False
        elif kind == "close":
            if len(dropped) > 1:
                dropped.pop()
            drop_next = False
        elif kind in ("phrase", "term", "vanish"):
            if kind != "vanish" and not dropped[-1] and not drop_next:
                words.append(
                    _plain(token[0], wildcards)
                    if kind == "term"
                    else _unescape(token[0][1:].removesuffix('"'))
                )
            drop_next = False
    return " ".join(word for word in words if word)


def _plain(term: str, wildcards: str) -> str:
    """A term without the wildcards at its ends; empty if there are wildcards inside."""
    characters = re.findall(r"\\?.", term, flags=re.DOTALL)
    plain = "".join("\0" if one in wildcards else one[-1] for one in characters).strip("\0")
    return "" if "\0" in plain else plain


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
