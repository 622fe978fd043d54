"""What of a soak's samples and counts is a fault, and that the page says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.soak.page import write_page
from benchmarks.soak.results import Results, Sample, list_faults

FLAT = Sample(0, 300, 40, 20, 12)


def results(late: Sample = FLAT, after: Sample = FLAT) -> Results:
    return Results(samples=[FLAT] * 6 + [late] * 2, before=FLAT, after=after)


@pytest.mark.parametrize(
    ("grown", "words"),
    [
        ({"rss_mb": 320}, "rss_mb grew by 7%"),
        ({"descriptors": 50}, "descriptors grew from 40 to 50"),
        ({"threads": 30}, "threads grew from 20 to 30"),
        ({"tasks": 30}, "tasks grew from 12 to 30"),
    ],
)
def test_growth_during_the_load_is_a_fault(grown: dict[str, int], words: str) -> None:
    [fault] = list_faults(results(late=replace(FLAT, **grown)))
    assert fault.startswith(words)


@pytest.mark.parametrize("name", ["descriptors", "threads", "tasks"])
def test_what_many_requests_need_at_once_is_no_growth(name: str) -> None:
    busy = results()
    busy.samples[-1] = replace(FLAT, **{name: 90})
    assert not list_faults(busy)


@pytest.mark.parametrize("name", ["descriptors", "tasks"])
def test_what_the_load_leaves_behind_is_a_fault(name: str) -> None:
    [fault] = list_faults(results(after=replace(FLAT, **{name: 50})))
    assert "50 at rest after the load" in fault
    assert not list_faults(results(after=replace(FLAT, rss_mb=400, threads=30)))


def test_the_page_names_each_fault() -> None:
    lost = results()
    assert "**No fault.**" in write_page(lost, "make soak", "Some load.", {"cores": "2"})
    lost.faults["search: another order"] = 3
    page = write_page(lost, "make soak", "Some load.", {"cores": "2"})
    assert "**Faults:**\n\n- search: another order: 3\n" in page
    assert "| memory (RSS), MB | 300 | 300 | 300 | 300 |" in page
