"""Reads the hits of a search response, and puts their bytes into a new order.

Only the outermost `hits.hits` changes: aggregations, inner hits and `_source` may contain members
of the same name. Hits keep their bytes, except for the `_score` token. The separators between hits
keep their places, so indented answers stay indented.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np

from pipelines.hits import Hit
from pipelines.plan import Scores
from sidecar.opensearch.known_sources import KnownSource, KnownSources
from sidecar.opensearch.refusals import Cause, read_shard_causes
from sidecar.opensearch_rules.limits import MAX_RESULT_WINDOW
from sidecar.spans.json_amounts import has_more_values
from sidecar.spans.json_spans import (
    NotJson,
    Spanned,
    TooMany,
    read_array,
    read_document,
    read_object,
    read_value,
    replace_spans,
)

_T = TypeVar("_T")
_new_tuple = tuple.__new__
_LARGEST = float(np.finfo(np.float32).max)

# A hit as OpenSearch writes it for a plain search. All other hits are read member by member, which
# takes four times as long.
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_STRING = r'"([^"\\\x00-\x1f]*)"'
_plain_hit = re.compile(
    rf'\{{"_index":{_STRING},"_id":{_STRING},"_score":({_NUMBER}),"_source":[ \t\n\r]*'
).match

MAX_VALUES: Final = 1_000_000
"""Maximum number of JSON values in an answer, which take about 100 bytes of memory each."""

_MAX_MEMBERS: Final = 100  # of an answer, its `hits` and a hit; OpenSearch writes about 20


class Unreadable(ValueError):
    """The answer is not a search response, or its hits cannot be located."""


class TooManySteps(Exception):
    """The hits take more steps to read than allowed."""


class ResponseHit(NamedTuple):
    """One element of `hits.hits`: its span, the span of its `_score` token, and what ranking reads.

    `sorted` is true if it has `sort` values.
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
class SearchResponse:
    """A search response with the spans of its hits.

    `text` is the decoded body; `start` and `end` are the span of the `hits.hits` array in it, and
    `max_score` has the span of that value. `scored` is true if the hits are ordered by score: each
    hit has a `_score`, and none has `sort` values. Otherwise the hits may be cut to a page, but not
    reordered. `causes` has the reasons for failed shards, if OpenSearch gives them.
    """

    text: str
    start: int
    end: int
    hits: tuple[ResponseHit, ...]
    max_score: Spanned | None
    scored: bool
    shards_failed: int
    timed_out: bool
    terminated_early: bool
    causes: tuple[Cause, ...] = ()

    def window(
        self, count: int, sources: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[Hit, ...]:
        """The first `count` hits for the ranking core; a hit without a score gets 0.

        `sources` replaces the hits' own sources; it has one for each hit of the window.
        """
        hits = self.hits[:count]
        if sources is None:
            sources = [hit.source for hit in hits]
        scores = [hit.score or 0.0 for hit in hits]
        return tuple(map(Hit, range(len(hits)), scores, sources))


class HitEdits(Protocol):
    """What changes in the hits of a page. Positions are those of the original order."""

    def leaves_out(self, position: int) -> bool:
        """Whether the hit is left out."""
        ...

    def edit(self, position: int, token: str, element: str) -> str:
        """A hit's JSON with further members; `token` is its original `_score`."""
        ...


def read_search_response(
    body: bytes, steps: int | None = None, known: KnownSources | None = None
) -> SearchResponse:
    """Read the hits of a search response. Raises Unreadable if it is not certain where they are.

    Sources that are in `known` are not parsed again; the others are stored there.

    Raises TooManySteps if it takes more than `steps`: one for each plain hit, and one for each
    member of another hit. A step takes two microseconds.
    """
    if has_more_values(body, MAX_VALUES):
        raise Unreadable("a search response with too many values")
    try:
        # An indexed `_source` may contain raw surrogates, which UTF-8 forbids. They are encoded
        # back into the same bytes.
        text = body.decode("utf-8", "surrogatepass")
        readers = {"hits": _HitsReader(steps, known).read_hits_object}
        root = read_document(text, partial(read_object, readers=readers, most=_MAX_MEMBERS))
    except (UnicodeDecodeError, NotJson) as error:
        raise Unreadable(f"not a search response: {error}") from None
    outer = _value(root, "hits", dict[str, Spanned]())
    if "hits" not in outer:
        raise Unreadable("not a search response: hits.hits is missing")
    array = outer["hits"]
    hits = tuple(array.value)
    shards = _value(root, "_shards", dict[str, Any]())
    failed = shards.get("failed", 0)
    return SearchResponse(
        text=text,
        start=array.start,
        end=array.end,
        hits=hits,
        max_score=outer.get("max_score"),
        scored=not any(hit.score is None or hit.sorted for hit in hits),
        shards_failed=failed if isinstance(failed, int) else 0,
        timed_out=_value(root, "timed_out", False),
        terminated_early=_value(root, "terminated_early", False),
        causes=read_shard_causes(shards) if failed else (),
    )


def splice_response(
    response: SearchResponse,
    order: Sequence[tuple[int, float | None]] | None,
    start: int,
    size: int,
    scores: Scores = "fused",
    edits: HitEdits | None = None,
) -> bytes:
    """The response with its first hits in a new order, cut to the page `[start:start + size]`.

    `order` has (position, new score) for each place of the rescored window, the best first. Its
    positions are a permutation of the first hits. With None as the new score, a hit keeps its own.
    Hits behind the window stay unchanged; without an order, the response is only cut.
    `scores="model"` sets `max_score` to the window's new maximum. `scores="positional"` gives the
    i-th place the i-th original `_score` and ignores the new scores. `edits` may leave out hits of
    the page and add members to the others.

    Raises ValueError if `order` is not a permutation, or if a score is not finite.
    """
    if order is None:
        order = ()
    elif not response.scored:
        raise ValueError("these hits are not ordered by score; splice without an order")
    if sorted(position for position, _ in order) != list(range(len(response.hits)))[: len(order)]:
        raise ValueError("order is not a permutation of the first hits")
    if scores != "positional" and not all(new is None or math.isfinite(new) for _, new in order):
        raise ValueError("a new score is not finite")
    places = [position for position, _ in order] + list(range(len(order), len(response.hits)))
    page: Sequence[int] = range(len(places))[start : start + size]
    if edits is not None:
        page = [place for place in page if not edits.leaves_out(places[place])]
    best = _find_best(response, order) if scores == "model" and order else None
    shown = [*page, *([] if best is None else [best])]
    tokens = _new_tokens(response, order, scores, [place for place in shown if place < len(order)])
    elements = [
        _element(response.text, response.hits[places[place]], tokens.get(place)) for place in page
    ]
    if edits is not None:
        elements = [
            edits.edit(
                places[place],
                _token(response.text, response.hits[places[place]]) or "null",
                element,
            )
            for place, element in zip(page, elements, strict=True)
        ]
    spans = [(response.start, response.end, _array(response, page, elements))]
    if best is not None and response.max_score is not None:
        token = tokens.get(best) or _token(response.text, response.hits[places[best]])
        spans.append((response.max_score.start, response.max_score.end, token))
    return replace_spans(response.text, spans).encode("utf-8", "surrogatepass")


class _HitsReader:
    """Reads `hits`, within a number of steps."""

    def __init__(self, steps: int | None, known: KnownSources | None) -> None:
        self._steps_left = sys.maxsize if steps is None else steps
        self._known = known

    def read_hits_object(self, text: str, start: int) -> tuple[dict[str, Spanned], int]:
        return read_object(text, start, {"hits": self._read_array}, most=_MAX_MEMBERS)

    def _read_array(self, text: str, start: int) -> tuple[list[ResponseHit], int]:
        hits: list[ResponseHit] = []
        if text.startswith("[{", start):
            offset = start + 1
            while (hit := self._read_plain_hit(text, offset)) is not None:
                self._steps_left -= 1
                if self._steps_left < 0:
                    raise TooManySteps
                hits.append(hit)
                offset = hit[1]
                if text[offset : offset + 2] != ",{":
                    break
                offset += 1
            if hits and text.startswith("]", hits[-1].end):
                if len(hits) > MAX_RESULT_WINDOW:
                    raise TooMany(f"an array has more than {MAX_RESULT_WINDOW} elements")
                return hits, hits[-1].end + 1
        read = iter(hits)

        def read_hit(text: str, start: int) -> tuple[ResponseHit, int]:
            hit = next(read, None)
            return self._read_hit(text, start) if hit is None else (hit, hit.end)

        elements, end = read_array(text, start, read_hit, MAX_RESULT_WINDOW)
        return [element.value for element in elements], end

    def _read_plain_hit(self, text: str, start: int) -> ResponseHit | None:
        plain = _plain_hit(text, start)
        if plain is None:
            return None
        index_name, id, score = plain.groups()
        source_start = plain.end()
        known = None if self._known is None else self._known.find(index_name, id)
        if known is not None and text.startswith(known.text, source_start):
            # The text is a whole object, so the source ends where it does.
            source, end = known.value, source_start + len(known.text)
        else:
            source, end = read_value(text, source_start)
            if not isinstance(source, dict):
                source = {}
            elif self._known is not None:
                self._known.keep(index_name, id, KnownSource(text[source_start:end], source))
        if text[end : end + 1] != "}":
            return None
        value = float(score)
        in_range = value if -_LARGEST <= value <= _LARGEST else None
        score_start, score_end = plain.span(3)
        # Without the checks of `ResponseHit`, as a window has hundreds.
        return _new_tuple(
            ResponseHit,
            (start, end + 1, score_start, score_end, in_range, index_name, id, source, False),
        )

    def _read_hit(self, text: str, start: int) -> tuple[ResponseHit, int]:
        self._step(1)
        plain = self._read_plain_hit(text, start)
        if plain is not None:
            return plain, plain.end
        members, end = read_object(text, start, most=_MAX_MEMBERS)
        self._step(len(members))
        score = members.get("_score", Spanned(None, end, end))
        return ResponseHit(
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

    def _step(self, count: int) -> None:
        self._steps_left -= count
        if self._steps_left < 0:
            raise TooManySteps


def _score(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and -_LARGEST <= value <= _LARGEST else None


def _value(members: dict[str, Spanned], key: str, default: _T) -> _T:
    """The member's value if it has the default's type, else the default."""
    value = members[key].value if key in members else default
    return value if isinstance(value, type(default)) else default


def _find_best(response: SearchResponse, order: Sequence[tuple[int, float | None]]) -> int:
    """The place with the highest score: on every page, OpenSearch gives that of all hits."""
    shown = [(response.hits[place].score or 0.0) if new is None else new for place, new in order]
    return shown.index(max(shown))


def _new_tokens(
    response: SearchResponse,
    order: Sequence[tuple[int, float | None]],
    scores: Scores,
    places: Sequence[int],
) -> dict[int, str]:
    """The new `_score` token of each of these places that gets one."""
    if scores == "positional":
        return {place: _token(response.text, response.hits[place]) for place in places}
    # Runtimes differ in how they print a float. A score that OpenSearch has already written gets
    # the same text again.
    scored = [hit for hit in response.hits if hit.score is not None]
    rounded = np.array([hit.score for hit in scored], np.float32).tolist()
    written = dict(zip(rounded, scored, strict=True))
    maximum = response.max_score
    tokens = {}
    for place in places:
        new = order[place][1]
        if new is not None:
            score = _float32(new)
            if (hit := written.get(float(score))) is not None:
                tokens[place] = _token(response.text, hit)
            elif (
                maximum is not None
                and isinstance(maximum.value, float)
                and _float32(maximum.value) == score
            ):
                tokens[place] = response.text[maximum.start : maximum.end]
            else:
                tokens[place] = str(score)
    return tokens


def _float32(score: float) -> np.float32:
    """The score as OpenSearch stores it; `str` of it is the shortest form, and is valid JSON."""
    return np.float32(min(max(score, -_LARGEST), _LARGEST))


def _token(text: str, hit: ResponseHit) -> str:
    return text[hit.score_start : hit.score_end]


def _element(text: str, hit: ResponseHit, token: str | None) -> str:
    if token is None:
        return text[hit.start : hit.end]
    return text[hit.start : hit.score_start] + token + text[hit.score_end : hit.end]


def _array(response: SearchResponse, page: Sequence[int], elements: Sequence[str]) -> str:
    """The array with these elements, and the separators that were at the same places."""
    text, hits = response.text, response.hits
    if not hits:
        return text[response.start : response.end]
    opening = text[response.start : hits[0].start]
    if not elements:
        return "[]" if opening == "[" else "[ ]"
    pieces = [opening]
    for place, element in zip(page, elements, strict=True):
        if place != page[0]:
            pieces.append(text[hits[place - 1].end : hits[place].start])
        pieces.append(element)
    pieces.append(text[hits[-1].end : response.end])
    return "".join(pieces)
