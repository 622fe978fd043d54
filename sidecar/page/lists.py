"""Query lists and judgments that the user gives to the page, in common formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sidecar.evaluation.files import BadFile, numbered_lines
from sidecar.evaluation.judgments import parse_judgments
from sidecar.evaluation.queries import parse_queries
from sidecar.page.refusals import PageRefusal

MOST_QUERIES: Final = 10_000

_LIST, _JUDGMENTS = Path("queries"), Path("judgments")


def read_lists(asked: Any) -> dict[str, Any]:
    """The queries and judgments in `{queries, judgments}`, each a text or missing.

    Blocks for a text of megabytes. Raises PageRefusal with the place of the first mistake.
    """
    if not isinstance(asked, dict):
        raise PageRefusal("request", "the request must be a JSON object")
    answer: dict[str, Any] = {}
    try:
        if isinstance(asked.get("queries"), str):
            answer["queries"] = _read_queries(asked["queries"])
        if isinstance(asked.get("judgments"), str):
            judgments = parse_judgments(_JUDGMENTS, asked["judgments"])
            answer |= {"grades": judgments.grades, "by_text": judgments.by_text}
    except BadFile as error:
        raise PageRefusal("request", str(error)) from None
    return answer


def _read_queries(text: str) -> list[list[str]]:
    queries = parse_queries(_LIST, text) if _has_format(text) else _plain_lines(text)
    if len(queries) > MOST_QUERIES:
        raise PageRefusal("request", f"the list has more than {MOST_QUERIES} queries")
    return [[query, words] for query, words in queries.items()]


def _has_format(text: str) -> bool:
    start = text.lstrip()[:5].lower()
    return start[:1] in ("{", "[", "") or start == "<top>" or "\t" in text


def _plain_lines(text: str) -> dict[str, str]:
    """One query per line; the text is its own id."""
    lines = (line.strip() for _, line in numbered_lines(text))
    return {line: line for line in lines}
