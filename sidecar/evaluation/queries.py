"""Reads query sets, and joins them with the judgments.

- BEIR: one JSON object with `_id` and `text` per line.
- Tab-separated: `id<TAB>text`, with or without a header line.
- TREC topics: `<top>` with `<num>` and `<title>`; the title is the query text.
- Search Relevance Workbench: one object with `queryText` per line, or a query set's
  `querySetQueries`; the text is the id.

The content decides the format. Every format may be compressed with gzip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sidecar.evaluation.files import BadFile, numbered_lines, read_json_entries, read_text
from sidecar.evaluation.judgments import Judgments

_HEADERS = frozenset({"id", "_id", "qid", "query-id", "query_id"})
_TOPIC = re.compile(r"<top>(.*?)(?=<top>|\Z)", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^<]+)", re.IGNORECASE)
_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*([^<]+)", re.IGNORECASE)


def read_queries(path: Path) -> dict[str, str]:
    """Query texts by id, in the file's order; raises BadFile for the first mistake."""
    return parse_queries(path, read_text(path))


def parse_queries(path: Path, text: str) -> dict[str, str]:
    """Query texts by id in a text; `path` names it in messages. Raises BadFile."""
    start = text.lstrip()[:5].lower()
    if not start:
        raise BadFile(path, 0, "is empty")
    if start[0] in "{[":
        rows = _json(path, text)
    elif start == "<top>":
        rows = _topics(path, text)
    else:
        rows = _tab_separated(path, text)
    queries: dict[str, str] = {}
    for line, query, words in rows:
        if not isinstance(words, str) or not words.strip():
            raise BadFile(path, line, "a query without text")
        query, words = str(query).strip(), " ".join(words.split())
        if queries.setdefault(query, words) != words:
            raise BadFile(path, line, f"query {query} occurs a second time")
    if not queries:
        raise BadFile(path, 0, "has no queries")
    return queries


def join(queries: Mapping[str, str] | None, judgments: Judgments) -> dict[str, str]:
    """The query texts to search with, by the query's name in the judgments.

    Judgments that name queries by their texts need no query set; if there is one, only its queries
    are used. Queries without judgments are left out, and so are judgments without a query. Raises
    ValueError if nothing is left, or if a query set is needed and missing.
    """
    if queries is None:
        if not judgments.by_text:
            raise ValueError("these judgments name queries by id; give the texts with --queries")
        return {text: text for text in judgments.grades}
    if judgments.by_text:
        wanted = set(queries.values())
        joined = {text: text for text in judgments.grades if " ".join(text.split()) in wanted}
    else:
        joined = {query: text for query, text in queries.items() if query in judgments.grades}
    if not joined:
        raise ValueError(
            "no query of --queries is judged in --qrels; for example"
            f" {next(iter(queries))!r} there and {next(iter(judgments.grades))!r} here"
        )
    return joined


def _json(path: Path, text: str) -> Iterator[tuple[int, Any, Any]]:
    for line, entry in read_json_entries(path, text):
        if isinstance(entry, dict) and isinstance(entry.get("querySetQueries"), list):
            entry = entry["querySetQueries"]
        for query in entry if isinstance(entry, list) else [entry]:
            if not isinstance(query, dict):
                raise BadFile(path, line, "a query is an object with _id and text, or queryText")
            words = next((query[key] for key in ("text", "query", "queryText") if key in query), "")
            yield line, query.get("_id", query.get("id", words)), words


def _tab_separated(path: Path, text: str) -> Iterator[tuple[int, Any, Any]]:
    for position, (number, line) in enumerate(numbered_lines(text)):
        query, tab, words = line.partition("\t")
        if not tab:
            raise BadFile(
                path,
                number,
                "no tab between id and text; JSON lines and TREC topics are accepted too",
            )
        if position == 0 and query.strip().lower() in _HEADERS:
            continue
        yield number, query, words


def _topics(path: Path, text: str) -> Iterator[tuple[int, Any, Any]]:
    for topic in _TOPIC.finditer(text):
        line = text.count("\n", 0, topic.start()) + 1
        number, title = _NUMBER.search(topic[1]), _TITLE.search(topic[1])
        if number is None or title is None:
            raise BadFile(path, line, "a topic without <num> or <title>")
        yield line, number[1], title[1]
