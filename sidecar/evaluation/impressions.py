"""What users saw and clicked: read from a CSV file, one page of hits per line.

    query,shown,clicked
    red shoes,p7|p2|p9,p2

`shown` are document ids in the order in which they were shown, `clicked` those that were clicked.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from sidecar.evaluation.files import BadFile

MOST_PAGES = 1_000_000
"""Pages that are read at most; each keeps its ids in memory."""

MOST_HITS = 200
"""Hits of a page that are read at most."""

_MOST_CHARACTERS = 4 << 30
_COLUMNS: Final = ("query", "shown", "clicked")


@dataclass(frozen=True, slots=True)
class Impression:
    """One page that a user saw: ids by rank, and the places (counted from 0) that were clicked."""

    query_text: str
    shown: tuple[str, ...]
    clicked: frozenset[int]


def read_impressions(path: Path, separator: str = "|") -> Iterator[Impression]:
    """Read the file line by line; it may be compressed with gzip.

    Raises BadFile, with the line, for a mistake, and for more than MOST_PAGES pages.
    """
    try:
        with _open(path) as file:
            yield from _read(path, file, separator)
    except UnicodeDecodeError:
        raise BadFile(path, 0, "is not UTF-8 text") from None
    except (OSError, EOFError) as error:
        raise BadFile(path, 0, f"cannot be read: {error}") from None


def _open(path: Path) -> TextIO:
    with path.open("rb") as start:
        compressed = start.read(2) == b"\x1f\x8b"
    if compressed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read(path: Path, file: TextIO, separator: str) -> Iterator[Impression]:
    reader = csv.reader(file, strict=True)
    pages = characters = 0
    try:
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(_COLUMNS):
                raise BadFile(path, line, f"has {len(cells)} columns, not query,shown,clicked")
            if not pages and [cell.strip().lower() for cell in cells] == list(_COLUMNS):
                continue
            pages += 1
            characters += sum(map(len, cells))
            if pages > MOST_PAGES or characters > _MOST_CHARACTERS:
                raise BadFile(path, line, f"is too long; {MOST_PAGES:,} pages are read at most")
            yield _page(path, line, cells, separator)
    except csv.Error as error:
        raise BadFile(path, reader.line_num, f"is not CSV: {error}") from None
    if not pages:
        raise BadFile(path, 0, "has no pages")


def _page(path: Path, line: int, cells: list[str], separator: str) -> Impression:
    query_text = " ".join(cells[0].split())
    shown = tuple(part.strip() for part in cells[1].split(separator))
    if not query_text:
        raise BadFile(path, line, "the query is blank")
    if not all(shown):
        raise BadFile(path, line, f"an id in shown is blank; ids are separated by {separator!r}")
    if len(shown) > MOST_HITS:
        raise BadFile(path, line, f"shows {len(shown)} documents; {MOST_HITS} are read at most")
    places = {document: place for place, document in enumerate(shown)}
    if len(places) != len(shown):
        raise BadFile(path, line, "shows a document twice")
    clicked = [part.strip() for part in cells[2].split(separator) if part.strip()]
    unseen = next((document for document in clicked if document not in places), None)
    if unseen is not None:
        raise BadFile(path, line, f"{unseen!r} was clicked and not shown")
    return Impression(query_text, shown, frozenset(places[document] for document in clicked))
