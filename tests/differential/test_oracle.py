"""The fuzzing finds nothing where it cannot see: every kind of difference is noticed here."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.differential.case import Case
from tests.differential.comparison import (
    Answer,
    compare_answers,
    compare_outcome,
    outcome_label,
)
from tests.differential.masks import mask
from tests.differential.reversal import compare_reversed
from tests.differential.settings import WINDOW
from tests.raw_http import RawResponse

_HEAD = (
    "HTTP/1.1 200 OK",
    "X-OpenSearch-Version: OpenSearch/3.8.0",
    "content-type: application/json; charset=UTF-8",
)
_APPLIED = "X-Rescore: applied; plan=fuzz; window=20; scored=20; model=words; ms=1.0"
_SKIPPED = "X-Rescore: skipped; reason=sort; plan=fuzz"


def answer(body: str | bytes, *fields: str, head: tuple[str, ...] = _HEAD) -> RawResponse:
    content = body if isinstance(body, bytes) else body.encode()
    lines = [*head, *fields, f"content-length: {len(content)}", "", ""]
    written = "\r\n".join(lines).encode()
    return RawResponse(written, content, written + content)


def what(direct: Answer, through: Answer) -> str | None:
    found = compare_answers(direct, through)
    return found.what if found else None


@pytest.mark.parametrize(
    ("through", "expected"),
    [
        (answer('{"took":31,"hits":[1.0]}'), None),
        (answer('{"took":5,"hits":[1.00]}'), "body"),
        (answer('{"took":5,"hits": [1.0]}'), "body"),
        (answer('{"took":5,"hits":[1.0]}\n'), "body"),
        (answer('{"took":5,"hits":[1.0]}', _APPLIED), None),
        (answer('{"took":5,"hits":[1.0]}', "X-Added: 1"), "head"),
        (answer('{"took":5,"hits":[1.0]}', head=_HEAD[::-1]), "head"),
        (answer('{"took":5,"hits":[1.0]}', head=(*_HEAD, _HEAD[1])), "head"),
        (answer('{"took":5,"hits":[1.0]}', head=("HTTP/1.1 201 OK", *_HEAD[1:])), "head"),
        ("EOFError: the connection closed", "connection"),
    ],
)
def test_one_changed_byte_is_seen(through: Answer, expected: str | None) -> None:
    assert what(answer('{"took":5,"hits":[1.0]}'), through) == expected


def test_a_closed_connection_may_be_told_of() -> None:
    broken = answer('{"error": {"type": "upstream_broken"}}', head=("HTTP/1.1 502 Bad Gateway",))
    assert what("EOFError", broken) is None
    assert what("EOFError", answer("{}")) == "connection"


def test_compressed_bodies_are_compared_by_content() -> None:
    direct = answer(gzip.compress(b'{"took":1}', 9), "content-encoding: gzip")
    assert what(direct, answer(gzip.compress(b'{"took":2}', 1), "content-encoding: gzip")) is None
    assert what(direct, answer(gzip.compress(b'{"took" :2}'), "content-encoding: gzip")) == "body"
    assert what(direct, answer('{"took":1}')) == "head"


@pytest.mark.parametrize(
    ("outcome", "routed", "fine"),
    [
        (_APPLIED, True, True),
        (_APPLIED, False, False),
        (_SKIPPED, True, True),
        ("X-Rescore: failed; reason=upstream_status; plan=fuzz", True, True),
        ("X-Rescore: failed; reason=error; plan=fuzz", True, False),
        ("X-Rescore: partial; reason=deadline; plan=fuzz", True, False),
    ],
)
def test_an_outcome_that_should_not_be_is_seen(outcome: str, routed: bool, fine: bool) -> None:
    through = answer("{}", outcome)
    assert (compare_outcome(through, routed) is None) == fine


def test_outcomes_are_counted_by_status_and_reason() -> None:
    counted = [outcome_label(answer("{}", *fields)) for fields in ([], [_APPLIED], [_SKIPPED])]
    assert counted == ["forwarded", "applied", "skipped; reason=sort"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"took" : 12}', '{"took" : 0}'),
        ('{"profile":{"a":[{"}":1}]},"b":1}', '{"profile":null,"b":1}'),
        ('{"phase_took" : {"query":3}}', '{"phase_took" : null}'),
        (r'{"_scroll_id":"a\"b","pit_id" : "c"}', '{"_scroll_id":"","pit_id" : ""}'),
        ('{"_score":12,"_source":{"profile":1}}', '{"_score":12,"_source":{"profile":1}}'),
    ],
)
def test_only_measurements_and_drawn_names_are_masked(body: str, expected: str) -> None:
    assert mask(body.encode(), is_json=True) == expected.encode()


CASE = Case("POST", "/fuzz-text/_search", body='{"from":18,"size":5}')
WITHOUT_TEXT = 3


def window(count: int) -> list[dict[str, Any]]:
    return [{"_index": "i", "_id": str(n), "_score": 9.5 - n / 10} for n in range(count)]


def search_answer(hits: list[dict[str, Any]], *fields: str, total: int = 30) -> RawResponse:
    whole = {"took": 1, "hits": {"total": total, "max_score": 9.5, "hits": hits}}
    return answer(json.dumps(whole), *fields)


def reversed_page() -> list[dict[str, Any]]:
    """Places 18 to 22 of 25 hits of which all but one have text: two of the window, three not."""
    hits = window(25)
    moved = [{**hits[place], "_score": hits[at].get("_score")} for at, place in ((18, 1), (19, 0))]
    return [*moved, *hits[20:23]]


def ask(case: Case) -> Answer:
    size = int(case.parameters[-1].removeprefix("size="))
    return search_answer(window(25)[:size])


def reversal(through: RawResponse) -> str | None:
    with_text = {("i", str(n)) for n in range(25) if n != WITHOUT_TEXT}
    direct = search_answer(window(25)[18:23])
    found = compare_reversed(CASE, direct, through, ask, with_text)
    return found.what if found else None


def test_the_reversed_page_is_what_is_expected() -> None:
    assert WINDOW == 20
    assert reversal(search_answer(reversed_page(), _APPLIED)) is None


@pytest.mark.parametrize(
    "hits",
    [
        pytest.param(window(25)[18:23], id="the original order"),
        pytest.param(reversed_page()[:4], id="a hit is lost"),
        pytest.param(reversed_page()[::-1], id="another order"),
        pytest.param([{**hit, "_score": 9.5} for hit in reversed_page()], id="other scores"),
        pytest.param([{**hit, "new": 1} for hit in reversed_page()], id="something added"),
    ],
)
def test_any_other_page_is_a_difference(hits: list[dict[str, Any]]) -> None:
    assert reversal(search_answer(hits, _APPLIED)) == "order"


def test_what_stands_outside_the_hits_stays() -> None:
    assert reversal(search_answer(reversed_page(), _APPLIED, total=31)) == "order"


def test_a_search_that_was_left_alone_is_as_direct() -> None:
    assert reversal(search_answer(window(25)[18:23], _SKIPPED)) is None
    assert reversal(search_answer(reversed_page(), _SKIPPED)) == "body"
