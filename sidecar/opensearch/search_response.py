"""Read the hits of a search response; put them in a new order without writing them anew.

Only the outermost `hits.hits` is touched: aggregations, inner hits and `_source` may contain
others of that name. Elements keep their bytes but for the `_score` token, and the separators
keep their places, so that pretty answers stay pretty.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from pipelines.hits import Hit
from sidecar.opensearch.json_spans import (
    NotJson,
    Spanned,
    read_array,
    read_document,
    read_object,
    read_value,
    replace_spans,
)

_T = TypeVar("_T")
_LARGEST = float(np.finfo(np.float32).max)

# A hit as OpenSearch writes it when nothing but the source is asked for; all others are walked
# member by member, which takes four times as long.
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_STRING = r'"([^"\\\x00-\x1f]*)"'
_plain_hit = re.compile(
    rf'\{{"_index":{_STRING},"_id":{_STRING},"_score":({_NUMBER}),"_source":'
).match

Scores = Literal["fused", "model", "positional"]
"""What the new `_score` says, as a plan's `scores`."""


class Unreadable(ValueError):
    """The answer is not a search response whose hits can be found."""


class FoundHit(NamedTuple):
    """One element of `hits.hits`: its span, that of its `_score` token, and what ranking reads.

    `sorted` says that it has `sort` values.
    """

    start: int
    end: int
    score_start: int
    score_end: int
    score: float | None
    index_name: str
    id: str
    source: dict[str, Any]
    sorted: bool


@dataclass(frozen=True, slots=True)
class ReadHits:
    """A search response with the places of its hits.

    `text` is the body decoded; `start` and `end` are the span of the `hits.hits` array,
    `max_score` that of its value. `scored` says that the order is one by score: every hit has
    a `_score` and none has `sort` values. If not, the hits may be cut to a page but not moved.
    """

    text: str
    start: int
    end: int
    hits: tuple[FoundHit, ...]
    max_score: Spanned | None
    scored: bool
    shards_failed: int
    timed_out: bool
    terminated_early: bool

    def window(
        self, count: int, sources: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[Hit, ...]:
        """The first `count` hits for the ranking core; a hit without a score has 0.

        `sources` takes the place of the hits' own; one for each hit of the window.
        """
        found = self.hits[:count]
        if sources is None:
            sources = [hit.source for hit in found]
        return tuple(
            Hit(position, hit.score or 0.0, source)
            for position, (hit, source) in enumerate(zip(found, sources, strict=True))
        )


def read_hits(body: bytes) -> ReadHits:
    """Find the hits of a search response; raises Unreadable when that is not certain."""
    try:
        # Raw surrogates, which UTF-8 forbids, may stand in an indexed `_source`; they turn back
        # into the same bytes, as all the rest does.
        text = body.decode("utf-8", "surrogatepass")
        root = read_document(text, partial(read_object, readers={"hits": _read_hits_object}))
    except (UnicodeDecodeError, NotJson) as error:
        raise Unreadable(f"not a search response: {error}") from None
    outer = _value(root, "hits", dict[str, Spanned]())
    if "hits" not in outer:
        raise Unreadable("not a search response: hits.hits is missing")
    array = outer["hits"]
    hits = tuple(array.value)
    failed = _value(root, "_shards", dict[str, Any]()).get("failed", 0)
    return ReadHits(
        text=text,
        start=array.start,
        end=array.end,
        hits=hits,
        max_score=outer.get("max_score"),
        scored=all(hit.score is not None and not hit.sorted for hit in hits),
        shards_failed=failed if isinstance(failed, int) else 0,
        timed_out=_value(root, "timed_out", False),
        terminated_early=_value(root, "terminated_early", False),
    )


def splice_response(
    read: ReadHits,
    order: Sequence[tuple[int, float | None]] | None,
    start: int,
    size: int,
    scores: Scores = "fused",
) -> bytes:
    """The response with its first hits in a new order, cut to the page `[start:start + size]`.

    `order` has (position, new score) for each place of the rescored window, the best first; its
    positions are a permutation of the first so many hits. A new score of None keeps the hit's
    own. Hits behind the window stay as they are; no order at all only cuts. `scores="model"`
    makes `max_score` the window's new maximum; `"positional"` gives the i-th place the i-th
    original `_score`, whatever the new ones are.

    Raises ValueError when `order` is no such permutation or a score is not finite.
    """
    if order is None:
        order = ()
    elif not read.scored:
        raise ValueError("these hits are not ordered by score; splice without an order")
    if sorted(position for position, _ in order) != list(range(len(read.hits)))[: len(order)]:
        raise ValueError("order is not a permutation of the first hits")
    tokens = _new_tokens(read, order, scores)
    places = [position for position, _ in order] + list(range(len(order), len(read.hits)))
    page = range(len(places))[start : start + size]
    elements = [_element(read.text, read.hits[places[place]], tokens.get(place)) for place in page]
    edits = [(read.start, read.end, _array(read, page, elements))]
    if scores == "model" and order and read.max_score is not None:
        # OpenSearch gives the maximum of all hits on every page, not that of the page.
        _, token = max(
            (read.hits[position].score or 0.0, _token(read.text, read.hits[position]))
            if new is None
            else (new, tokens[place])
            for place, (position, new) in enumerate(order)
        )
        edits.append((read.max_score.start, read.max_score.end, token))
    return replace_spans(read.text, edits).encode("utf-8", "surrogatepass")


def _read_hits_object(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, readers={"hits": _read_hits_array})


def _read_hits_array(text: str, start: int) -> tuple[list[FoundHit], int]:
    elements, end = read_array(text, start, _read_hit)
    return [element.value for element in elements], end


def _read_hit(text: str, start: int) -> tuple[FoundHit, int]:
    plain = _plain_hit(text, start)
    if plain is not None:
        source, end = read_value(text, plain.end())
        if text.startswith("}", end):
            return FoundHit(
                start,
                end + 1,
                plain.start(3),
                plain.end(3),
                _score(float(plain[3])),
                plain[1],
                plain[2],
                source if isinstance(source, dict) else {},
                False,
            ), end + 1
    members, end = read_object(text, start)
    score = members.get("_score", Spanned(None, end, end))
    return FoundHit(
        start,
        end,
        score.start,
        score.end,
        _score(score.value),
        _value(members, "_index", ""),
        _value(members, "_id", ""),
        _value(members, "_source", {}),
        "sort" in members,
    ), end


def _score(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and -_LARGEST <= value <= _LARGEST else None


def _value(members: dict[str, Spanned], key: str, default: _T) -> _T:
    """The member's value if it is of the default's type, else the default."""
    value = members[key].value if key in members else default
    return value if isinstance(value, type(default)) else default


def _new_tokens(
    read: ReadHits, order: Sequence[tuple[int, float | None]], scores: Scores
) -> dict[int, str]:
    """The new `_score` token of each place that gets one."""
    if scores == "positional":
        return {place: _token(read.text, read.hits[place]) for place in range(len(order))}
    # A score that OpenSearch has written already is written its way again: runtimes differ in
    # how they print a float.
    written = {
        _float32(hit.score): _token(read.text, hit) for hit in read.hits if hit.score is not None
    }
    if read.max_score is not None and isinstance(read.max_score.value, float):
        spelled = read.text[read.max_score.start : read.max_score.end]
        written.setdefault(_float32(read.max_score.value), spelled)
    tokens = {}
    for place, (_, new) in enumerate(order):
        if new is not None:
            if not math.isfinite(new):
                raise ValueError(f"a new score is {new}")
            tokens[place] = written.get(_float32(new)) or str(_float32(new))
    return tokens


def _float32(score: float) -> np.float32:
    """The number as OpenSearch holds scores; `str` of it is its shortest form, and is JSON."""
    return np.float32(min(max(score, -_LARGEST), _LARGEST))


def _token(text: str, hit: FoundHit) -> str:
    return text[hit.score_start : hit.score_end]


def _element(text: str, hit: FoundHit, token: str | None) -> str:
    if token is None:
        return text[hit.start : hit.end]
    return text[hit.start : hit.score_start] + token + text[hit.score_end : hit.end]


def _array(read: ReadHits, page: range, elements: Sequence[str]) -> str:
    """The array with these elements, separated as the elements of those places were."""
    text, hits = read.text, read.hits
    if not hits:
        return text[read.start : read.end]
    opening = text[read.start : hits[0].start]
    if not elements:
        return "[]" if opening == "[" else "[ ]"
    pieces = [opening]
    for place, element in zip(page, elements, strict=True):
        if place != page.start:
            pieces.append(text[hits[place - 1].end : hits[place].start])
        pieces.append(element)
    pieces.append(text[hits[-1].end : read.end])
    return "".join(pieces)
