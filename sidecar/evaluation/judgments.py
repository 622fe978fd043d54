"""Reads relevance judgments in common formats.

- TREC qrels: `query-id iteration document-id grade`, four columns separated by white space.
- BEIR: `query-id<TAB>corpus-id<TAB>score`, with or without a header line; or one JSON object with
  these three keys per line.
- OpenSearch's Search Relevance Workbench: the body that imports a judgment list or the answer
  that shows one (`judgmentRatings: [{query, ratings: [{docId, rating}]}]`), or CSV with
  `query,docid,rating`. These formats name a query by its text.

The content decides the format. Every format may be compressed with gzip.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from sidecar.evaluation.files import BadFile, numbered_lines, read_json_entries, read_text

_FORMATS = (
    "no judgments in a known format: TREC qrels (4 columns), BEIR (query-id, corpus-id, score"
    " separated by tabs), or a judgment list of the Search Relevance Workbench (JSON, or CSV of"
    " query,docid,rating)"
)

# The line number, then query, document and grade as the file has them.
_Row = tuple[int, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Judgments:
    """Grades by query, then by document id; `by_text`: the queries are named by their texts."""

    grades: Mapping[str, Mapping[str, float]]
    by_text: bool


def read_judgments(path: Path) -> Judgments:
    """Read the file; raises BadFile with the place of the first mistake."""
    return parse_judgments(path, read_text(path))


def parse_judgments(path: Path, text: str) -> Judgments:
    """The judgments in a text; `path` names it in messages. Raises BadFile."""
    first = next(numbered_lines(text), None)
    if first is None:
        raise BadFile(path, 0, "is empty")
    if first[1].lstrip()[0] in "{[":
        entries = list(read_json_entries(path, text))
        if "query-id" in entries[0][1]:
            return Judgments(_collect(path, _beir_objects(path, entries)), by_text=False)
        return Judgments(_collect(path, _workbench(path, entries)), by_text=True)
    if _is_csv(first[1]):
        return Judgments(_collect(path, _csv(path, text)), by_text=True)
    if len(first[1].split("\t")) == 3:
        rows = _columns(path, text, "\t", (0, 1, 2), header="score")
        return Judgments(_collect(path, rows), by_text=False)
    if len(first[1].split()) == 4:
        return Judgments(_collect(path, _columns(path, text, None, (0, 2, 3))), by_text=False)
    raise BadFile(path, first[0], _FORMATS)


def _collect(path: Path, rows: Iterator[_Row]) -> dict[str, dict[str, float]]:
    grades: dict[str, dict[str, float]] = {}
    for line, query, document, value in rows:
        if not isinstance(query, str | int) or not isinstance(document, str | int):
            raise BadFile(path, line, "the query and the document must be text")
        query, document = str(query).strip(), str(document).strip()
        if not query or not document:
            raise BadFile(path, line, "the query or the document is blank")
        if not _is_number(value):
            raise BadFile(path, line, f"the grade must be a number, not {value!r}")
        judged = grades.setdefault(query, {})
        if judged.setdefault(document, float(value)) != float(value):
            raise BadFile(
                path, line, f"document {document} is judged a second time for query {query}"
            )
    if not grades:
        raise BadFile(path, 0, "has no judgments")
    return grades


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _columns(
    path: Path,
    text: str,
    separator: str | None,
    places: tuple[int, int, int],
    header: str | None = None,
) -> Iterator[_Row]:
    count = places[2] + 1
    for position, (number, line) in enumerate(numbered_lines(text)):
        cells = line.split(separator)
        if len(cells) != count:
            raise BadFile(path, number, f"has {len(cells)} columns where others have {count}")
        if position == 0 and cells[-1].strip().lower() == header:
            continue
        query, document, grade = (cells[place] for place in places)
        yield number, query, document, grade


def _is_csv(line: str) -> bool:
    cells = next(csv.reader([line]))
    if len(cells) != 3:
        return False
    return _is_number(cells[2]) or _is_csv_header(cells)


def _is_csv_header(cells: list[str]) -> bool:
    return cells[0].strip().lower() == "query"


def _csv(path: Path, text: str) -> Iterator[_Row]:
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    started = False
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != 3:
                raise BadFile(
                    path, reader.line_num, f"has {len(cells)} columns, not query,docid,rating"
                )
            header, started = not started and _is_csv_header(cells), True
            if not header:
                yield reader.line_num, cells[0], cells[1], cells[2]
    except csv.Error as error:
        raise BadFile(path, reader.line_num, f"is not CSV: {error}") from None


def _beir_objects(path: Path, entries: list[tuple[int, Any]]) -> Iterator[_Row]:
    for line, entry in entries:
        try:
            yield line, entry["query-id"], entry["corpus-id"], entry["score"]
        except (TypeError, KeyError):
            raise BadFile(path, line, "lacks one of query-id, corpus-id and score") from None


def _workbench(path: Path, entries: list[tuple[int, Any]]) -> Iterator[_Row]:
    for line, entry in entries:
        for rated in _rated_queries(path, line, entry):
            try:
                for rating in rated["ratings"]:
                    yield line, rated["query"], rating["docId"], rating["rating"]
            except (TypeError, KeyError):
                raise BadFile(
                    path,
                    line,
                    "an entry of judgmentRatings is not {query, ratings: [{docId, rating}]}",
                ) from None


def _rated_queries(path: Path, line: int, entry: Any) -> Iterator[Any]:
    """The entries of `judgmentRatings`, wherever a document of the Workbench has them."""
    if isinstance(entry, list):
        yield from entry
    elif isinstance(entry, dict) and isinstance(entry.get("judgmentRatings"), list):
        yield from entry["judgmentRatings"]
    elif isinstance(entry, dict) and isinstance(entry.get("hits"), dict):
        for hit in entry["hits"].get("hits", []):
            source = hit.get("_source") if isinstance(hit, dict) else None
            yield from _rated_queries(path, line, source)
    elif isinstance(entry, dict) and "ratings" in entry:
        yield entry
    else:
        raise BadFile(path, line, _FORMATS)
