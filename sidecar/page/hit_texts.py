"""What the page shows of a hit: cut to lengths that no document can exceed.

Passages are sent as pieces, `[text, is marked]`, and not with offsets: Python counts characters,
and JavaScript counts UTF-16 units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipelines.documents import join_values, read_only_text
from pipelines.hit_details import HitDetails
from pipelines.texts import replace_surrogates
from pipelines.words import Words, find_spans
from sidecar.page.requests import ShownFields

TITLE: Final = 300
FIELD: Final = 400
PASSAGE: Final = 1500
AROUND: Final = 160
"""Maximum characters of a title, a field, a passage, and the text on each side of a passage."""

_URL: Final = 2000


def cut(text: str, length: int) -> str:
    """The text on one line, without lone surrogates, with at most `length` characters."""
    # More is not looked at: a title may have a million characters.
    line = " ".join(replace_surrogates(text[: 4 * length]).split())
    if len(line) <= length and len(text) <= 4 * length:
        return line
    return line[: length - 1] + "\u2026"


def show_source(source: Any, shown: ShownFields) -> dict[str, Any]:
    """Title, fields and image of a hit's `_source`."""
    source = source if isinstance(source, Mapping) else {}
    image = join_values(source, (shown.image,))[:_URL] if shown.image else ""
    pairs = [(name, cut(join_values(source, (name,)), FIELD)) for name in shown.fields]
    return {
        "title": cut(join_values(source, shown.title), TITLE) if shown.title else "",
        "fields": [[name, text] for name, text in pairs if text],
        "image": image if image.startswith(("https://", "data:image/")) else None,
    }


def mark_words(text: str, query_words: Words) -> list[list[Any]]:
    """The text in pieces; the query's words are marked."""
    text = replace_surrogates(text)
    shown = text[:PASSAGE]
    pieces: list[list[Any]] = []
    copied = 0
    for start, end in find_spans(shown, query_words):
        if start > copied:
            pieces.append([shown[copied:start], 0])
        pieces.append([shown[start:end], 1])
        copied = end
    rest = shown[copied:] + ("\u2026" if len(text) > PASSAGE else "")
    return [*pieces, [rest, 0]] if rest else pieces


def show_passage(
    source: Mapping[str, object], details: HitDetails, query_words: Words
) -> dict[str, Any] | None:
    """The best passage of a hit's group, with the text around it if it is this hit's own."""
    if not details.passage:
        return None
    before = after = ""
    if details.place is not None:
        value = read_only_text(source, details.place.field) or ""
        start, end = details.place.start, details.place.end
        before = replace_surrogates(value[max(0, start - AROUND) : start])
        after = replace_surrogates(value[end : end + AROUND])
    return {
        "field": details.place.field if details.place else None,
        "before": before,
        "pieces": mark_words(details.passage, query_words),
        "after": after,
        "own": details.own,
    }
