"""What a rescored page has to be when the model likes each text better than the one before it.

The direct answer for the whole window tells it: the hits that have text change places with each
other, last first, and those without, or whose score stands apart, keep theirs; place i has the
i-th original score.
Answers are compared as parsed, numbers as spelled: the setting `identity` compares the bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import unquote_plus

from pipelines.original_scores import read_original_scores
from tests.differential.case import Case
from tests.differential.comparison import (
    Answer,
    Difference,
    compare_answers,
    compare_heads,
    outcome_of,
    show,
)
from tests.differential.masks import masked_body
from tests.differential.settings import WINDOW
from tests.raw_http import RawResponse

Ask: TypeAlias = Callable[[Case], Answer]
"""Sends a request directly."""

WithText: TypeAlias = Collection[tuple[str, str]]
_Page: TypeAlias = tuple[int, int]

_RESCORED = re.compile(r"rescored=(\d+)")


def compare_reversed(
    case: Case, direct: Answer, through: Answer, ask: Ask, with_text: WithText
) -> Difference | None:
    """Whether the answer through the proxy is the direct one with its hits reversed.

    `with_text`: (index, id) of the documents that have text.
    """
    outcome = outcome_of(through) or ""
    rescored = _RESCORED.search(outcome)
    if isinstance(direct, str) or isinstance(through, str):
        return compare_answers(direct, through)
    if "scored=" not in outcome or (rescored and rescored[1] == "0"):
        return compare_answers(direct, through)
    different = compare_heads(direct, through)
    if different is not None:
        return different
    if rescored:
        return _compare_items(case, direct, through, ask, with_text, int(rescored[1]))
    page = _page_of_search(case)
    widened = _widen(case, page)
    unfiltered = [one for one in case.parameters if not one.startswith("filter_path")]
    window = _parse(ask(widened))
    # Where a filter takes the ids away, the same search without it still says which hits it has.
    named = _parse(ask(replace(widened, parameters=(*unfiltered, *widened.parameters[-2:]))))
    return _compare_page(_expected(_parse(direct), window, named, page, with_text), _parse(through))


def _compare_items(
    case: Case, direct: RawResponse, through: RawResponse, ask: Ask, with_text: WithText, count: int
) -> Difference | None:
    """The same for an `_msearch`, which says only how many of its items were rescored."""
    lines = (case.body or "").split("\n")
    pages: list[_Page | None] = []
    for place in range(1, len(lines), 2):
        pages.append(_page_of_item(lines[place]))
        if pages[-1] is not None:
            lines[place] = _widen_item(lines[place], pages[-1])
    windows = _parse(ask(replace(case, body="\n".join(lines))))
    reversed_items = 0
    wholes = (_parse(direct), _parse(through))
    trios = zip(*(whole["responses"] for whole in (*wholes, windows)), pages, strict=False)
    for place, (own, got, window, page) in enumerate(trios):
        expected = own
        if page is not None and "hits" in own and "hits" in window and _has_ids(window):
            expected = _expected(own, window, window, page, with_text)
        if got == expected:
            reversed_items += 1
        elif got != own:
            different = _compare_page(expected, got)
            assert different is not None
            return replace(different, what=f"{different.what} of item {place}")
    if reversed_items < count:
        return Difference("rescored", str(reversed_items), str(count))
    without = [{**whole, "responses": len(whole["responses"])} for whole in wholes]
    return _compare_page(*without)


def _expected(
    direct: dict[str, Any],
    window: dict[str, Any],
    named: dict[str, Any],
    page: _Page,
    with_text: WithText,
) -> dict[str, Any]:
    """The direct answer with the page's hits as they have to be."""
    hits = window["hits"]["hits"]
    names = [(hit["_index"], hit["_id"]) for hit in named["hits"]["hits"]]
    # An item that is sorted has no scores; what is expected of it is not looked at.
    numbers = [float(hit["_score"][1:]) if hit["_score"] else 0.0 for hit in hits]
    places = _order(names, numbers, with_text)
    scores = [hit["_score"] for hit in hits]
    moved = [{**hits[place], "_score": score} for place, score in zip(places, scores, strict=True)]
    start, size = page
    return {**direct, "hits": {**direct["hits"], "hits": moved[start : start + size]}}


def _has_ids(window: dict[str, Any]) -> bool:
    return all("_id" in hit for hit in window["hits"]["hits"])


def _order(
    names: Sequence[tuple[str, str]], scores: Sequence[float], with_text: WithText
) -> list[int]:
    """The original place of the hit for each place; those that stand apart keep theirs."""
    originals = read_original_scores(scores[:WINDOW])
    readable = [
        place
        for place, name in enumerate(names[:WINDOW])
        if name in with_text and originals.hold(scores[place])
    ]
    moved = dict(zip(readable, reversed(readable), strict=True))
    return [moved.get(place, place) for place in range(len(names))]


def _compare_page(expected: dict[str, Any], got: dict[str, Any]) -> Difference | None:
    # Members of an object keep their order when they are dumped, so it counts.
    texts = [json.dumps(one, ensure_ascii=True).encode() for one in (expected, got)]
    return None if texts[0] == texts[1] else show("order", *texts)


def _parse(answer: Answer) -> dict[str, Any]:
    """The answer as parsed; a number is its text, so that `1.0` and `1.00` differ."""
    if isinstance(answer, str):
        raise ConnectionError(answer)
    text = masked_body(answer).decode("utf-8", "surrogatepass")
    parsed: dict[str, Any] = json.loads(
        text, parse_int=lambda number: f"#{number}", parse_float=lambda number: f"#{number}"
    )
    return parsed


def _page_of_search(case: Case) -> _Page:
    """`from` and `size` of a search that the proxy found fit to be rescored."""
    body = json.loads(case.body) if case.body else {}
    page = {"from": body.get("from", 0), "size": body.get("size", 10)}
    for parameter in case.parameters:
        for one in parameter.split("&"):
            name, _, value = one.partition("=")
            if unquote_plus(name) in page:
                page[unquote_plus(name)] = unquote_plus(value)
    return int(float(page["from"])), int(float(page["size"]))


def _widen(case: Case, page: _Page) -> Case:
    # The URL's numbers win over the body's: another way than the proxy's, with the same result.
    size = _window(json.loads(case.body) if case.body else {}, page)
    return replace(case, parameters=(*case.parameters, "from=0", f"size={size}"))


def _page_of_item(line: str) -> _Page | None:
    try:
        body = json.loads(line)
        return int(float(body.get("from", 0))), int(float(body.get("size", 10)))
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def _widen_item(line: str, page: _Page) -> str:
    body = json.loads(line)
    return json.dumps({**body, "from": 0, "size": _window(body, page)})


def _window(body: dict[str, Any], page: _Page) -> int:
    """Hits of the window: the plan's, as far as the search's own `rescore` leaves them as they are
    in a search for fewer."""
    start, size = page
    rescore = body.get("rescore", [])
    own: list[int] = [
        one.get("window_size", 10) for one in (rescore if isinstance(rescore, list) else [rescore])
    ]
    window = max(WINDOW, start + size)
    if not own or not size:
        return window
    before = start % size
    return max(start + size, min(window, before + (max(own) - before) // size * size))
