"""The query texts that people ask, the most frequent first: from a file, or from the cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from sidecar.evaluation.files import BadFile, numbered_lines, read_text
from sidecar.evaluation.queries import parse_queries
from sidecar.warming.index_reading import IndexReading

UBI_FIELDS = ("user_query",)
"""What `read_stored_queries` needs of each document."""

MOST_SEARCHES = 1_000_000
"""Maximum number of stored searches that are read; the oldest ones first."""

_LONGEST = 1000
_PAGE = 1000


def read_query_file(path: Path) -> list[str]:
    """The query texts of a file: plain lines, or a format of `evaluation/queries.py`.

    Lines without a tab that are neither JSON nor TREC topics are query texts themselves; those that
    occur most often come first. Raises BadFile.
    """
    text = read_text(path)
    start = text.lstrip()[:5].lower()
    lines = [line for _, line in numbered_lines(text)]
    if start[:1] in ("{", "[") or start == "<top>" or "\t" in (lines[0] if lines else ""):
        return rank_queries(parse_queries(path, text).values())
    queries = rank_queries(lines)
    if not queries:
        raise BadFile(path, 0, "has no queries")
    return queries


def read_stored_queries(searches: IndexReading) -> list[str]:
    """The query texts of an index in the schema of User Behavior Insights; blocks.

    Raises IndexUnreadable.
    """
    return rank_queries(_stored_texts(searches))


def rank_queries(texts: Iterable[str]) -> list[str]:
    """Each different text once, the most frequent first; equal ones keep their order."""
    tidy = (" ".join(text.split())[:_LONGEST] for text in texts)
    return [text for text, _ in Counter(filter(None, tidy)).most_common()]


def _stored_texts(searches: IndexReading) -> Iterator[str]:
    number: int | None = 0
    count = 0
    while number is not None and count < MOST_SEARCHES:
        page = searches.read_page(number, _PAGE)
        for hit in page.hits:
            text = hit.source.get("user_query")
            if isinstance(text, str):
                yield text
        count += len(page.hits)
        number = page.next_number
