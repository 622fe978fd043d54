"""What searches teach about an index: to which caller, for how long, and from which answers."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.limits import Limits
from sidecar.metrics import Metrics
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.index_lessons import IndexLessons, LessonKeys
from sidecar.opensearch.search_request import SearchRequest, read_search_request
from sidecar.relay.heads import RequestHead, parse_request_head
from tests.sidecar.opensearch.test_search_request import JSON, PLAN


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr("time.monotonic", ticking)
    return ticking


def make_lessons() -> IndexLessons:
    return IndexLessons(Callers(), Metrics())


def head(*lines: str) -> RequestHead:
    return parse_request_head("\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode())


def search(
    target: str = "/docs/_search", body: str = '{"query":{"match":{"body":"red"}}}'
) -> SearchRequest:
    search_request = read_search_request(target.encode(), body.encode(), JSON, PLAN, Limits())
    assert isinstance(search_request, SearchRequest)
    return search_request


ME, OTHER = head("Authorization: Basic me"), head("Authorization: Basic you")


def test_a_lesson_is_one_callers_and_one_index_lists() -> None:
    lessons = make_lessons()
    lessons.learn_limit(lessons.keys(ME, search()), 60, b"/docs/_search")
    assert lessons.fetch_limit(lessons.keys(ME, search())) == 60
    same = head("X-Opaque-Id: 7", "Authorization: Basic me", "Accept-Encoding: gzip", "Host: b")
    longer = search("/docs/_search?explain", '{"size":3,"query":{"match":{"body":"x"}}}')
    assert lessons.fetch_limit(lessons.keys(same, longer)) == 60
    assert lessons.fetch_limit(lessons.keys(OTHER, search())) is None
    assert lessons.fetch_limit(lessons.keys(ME, search("/docs,more/_search"))) is None


def test_a_limit_is_tried_again_ever_more_rarely(clock: Clock) -> None:
    lessons = make_lessons()
    keys = lessons.keys(ME, search())
    waits = []
    for _ in range(8):
        lessons.learn_limit(keys, 60, b"")
        began = clock.now
        while lessons.fetch_limit(keys) is not None:
            clock.now += 60
        waits.append(clock.now - began)
    assert waits == [600, 1200, 2400, 4800, 9600, 14_400, 14_400, 14_400]
    lessons.forget_limit(keys)
    lessons.learn_limit(keys, 60, b"")
    clock.now += 600
    assert lessons.fetch_limit(keys) is None


def test_overload_rests_at_once_and_a_success_ends_it(clock: Clock) -> None:
    lessons = make_lessons()
    keys = lessons.keys(ME, search())
    lessons.learn_trouble(keys, "overload", b"")
    assert lessons.is_paused(keys)
    clock.now += 10
    assert not lessons.is_paused(keys)
    lessons.learn_trouble(keys, "overload", b"")
    clock.now += 19
    assert lessons.is_paused(keys)
    lessons.learn_success(keys)
    assert not lessons.is_paused(keys)
    lessons.learn_trouble(keys, "overload", b"")
    clock.now += 10
    assert not lessons.is_paused(keys)


def test_refusals_rest_when_they_come_in_a_row() -> None:
    lessons = make_lessons()
    keys = lessons.keys(ME, search())
    for _ in range(5):
        lessons.learn_trouble(keys, "refused", b"")
        lessons.learn_trouble(keys, "refused", b"")
        assert not lessons.is_paused(keys)
        lessons.learn_success(keys)
    for _ in range(3):
        lessons.learn_trouble(keys, "refused", b"")
    assert lessons.is_paused(keys)


HIGHLIGHT = '{"query":{"match":{"body":"red"}},"highlight":{"fields":{"body":{}}}}'


def test_troubles_are_those_of_searches_that_fetch_the_same() -> None:
    lessons = make_lessons()
    lessons.learn_trouble(lessons.keys(ME, search(body=HIGHLIGHT)), "overload", b"")
    other_words = HIGHLIGHT.replace("red", "blue").replace("{", '{"from":5,', 1)
    assert lessons.is_paused(lessons.keys(ME, search(body=other_words)))
    assert not lessons.is_paused(lessons.keys(ME, search()))


@pytest.mark.parametrize("trouble", ["overload", "too_large", "refused"])
def test_a_lesson_is_logged_and_counted_once(
    trouble: str, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    lessons = IndexLessons(Callers(), metrics)
    keys = lessons.keys(ME, search())
    for _ in range(9):
        lessons.learn_trouble(keys, trouble, b"/docs\n/_search?secret")  # type: ignore[arg-type]
        lessons.learn_limit(keys, 60, b"/docs/_search")
        clock.now += 20_000
    counts = metrics.registry.get_sample_value
    assert counts("rescore_index_lessons_total", {"lesson": trouble}) == 1
    assert counts("rescore_index_lessons_total", {"lesson": "result_window"}) == 1
    # The sidecar of another test may still be stopping, and log that.
    messages = [one.getMessage() for one in caplog.records if one.name == "sidecar.search"]
    assert len(messages) == 2
    assert "secret" not in caplog.text
    assert all("\n" not in message for message in messages)


def test_memory_is_bounded() -> None:
    lessons = make_lessons()
    for number in range(5000):
        keys = LessonKeys(b"", b"i%d" % number, b"s%d" % number)
        lessons.learn_limit(keys, 60, b"")
        lessons.learn_trouble(keys, "overload", b"")
        lessons.learn_no_rendering(b"%d" % number)
    assert len(lessons) == 3 * 4096


@given(st.lists(st.floats(0, 1e9), max_size=30))
def test_what_hits_weigh_is_between_what_was_seen(seen: list[float]) -> None:
    lessons = make_lessons()
    keys = lessons.keys(ME, search())
    for spare in seen:
        lessons.learn_spare_bytes(keys, spare)
    assert 0 <= lessons.spare_bytes(keys) <= max(seen, default=0.0) * (1 + 1e-9)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_what_a_head_says_of_the_message_is_nobodys_mark(one: bytes, other: bytes) -> None:
    callers = Callers()
    clean = [bytes(byte for byte in text if 0x20 < byte < 0x7F) for text in (one, other)]
    heads = [
        parse_request_head(b"GET / HTTP/1.1\r\nUser-Agent: %b\r\nX-User: %b\r\n\r\n" % (text, user))
        for text, user in ((clean[0], b"a"), (clean[1], b"a"), (clean[0], b"a" + clean[1]))
    ]
    assert callers.caller(heads[0]) == callers.caller(heads[1])
    assert (callers.caller(heads[0]) == callers.caller(heads[2])) == (not clean[1])
