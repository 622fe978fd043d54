"""The capacity model: its formulas on round figures, and the page has its table."""

from pathlib import Path

from benchmarks.capacity import (
    Load,
    Measured,
    find_need,
    read_measured,
    write_check,
    write_table,
)

ROOT = Path(__file__).parent.parent.parent
ROUND = Measured(passages_per_core_s=50, warm_search_ms=7)


def test_the_formulas_on_round_figures() -> None:
    load = Load(1_000_000, searches_s=100, cold_share=0.06, changed_a_day=0)
    need = find_need(load, ROUND)
    assert need.search_cores == 1  # 0.7 s of a core a second, at 70%
    assert need.reading_cores == 52  # 1,800 passages a second, 35 a core
    assert round(need.first_reading_core_days, 3) == 0.231
    assert need.memory_gb == 0.578
    assert need.disk_gb == 0.404
    assert need.server_gb == 0.598
    assert need.server_mb_s == 100 * 300 * 427 / 1e6


def test_changed_passages_are_read_too() -> None:
    still = find_need(Load(10**9, searches_s=1, cold_share=0, changed_a_day=0), ROUND)
    assert still.reading_cores == 0
    changing = find_need(Load(10**9, searches_s=1, cold_share=0, changed_a_day=0.0864), ROUND)
    assert changing.reading_cores == 29  # 1,000 a second


def test_the_page_has_the_tables_of_the_stored_figures() -> None:
    measured = read_measured(ROOT / "benchmarks" / "results.json")
    page = (ROOT / "docs" / "scaling.md").read_text()
    assert write_table(measured, Load(0)) in page
    assert write_check(measured) in page
