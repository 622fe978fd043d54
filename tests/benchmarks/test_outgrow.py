"""The table of ways to outgrow one sidecar: what it computes, and where it is written."""

from pathlib import Path

import pytest

from benchmarks import outgrow
from benchmarks.outgrow import Figures, System, put_into_page, read_figures, write_table


def test_searches_at_the_same_time_are_added_up() -> None:
    one = {"ms": [1.0, 2.0, 3.0], "seconds": 1.5, "scored": 75, "statuses": {"applied": 3}}
    two = {"ms": [40.0], "seconds": 2.0, "scored": 0, "statuses": {"failed": 1}}
    assert read_figures([one, two]) == Figures(2.5, 2.0, 40.0, 0.75, {"applied": 3, "failed": 1})


def test_a_line_has_the_ratio_to_one_sidecar_and_the_page_is_replaced_between_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, other = System("1 sidecar", []), System("another", [])
    for kind in ("cold", "warm"):
        alone.figures[kind] = [Figures(10.0, 5, 9, 1.0, {"applied": 10})]
        other.figures[kind] = [Figures(25.0, 4, 8, 0.5, {"partial": 25})]
    table = write_table([alone, other], rounds=1, seconds=1.0)
    assert "| another | cold | 25.0 | 2.50x | 4 | 8 | 50 % |" in table
    assert "20 applied, 50 partial" in table
    page = tmp_path / "scaling.md"
    page.write_text("a\n<!-- outgrow: begin -->\nold\n<!-- outgrow: end -->\nb\n")
    monkeypatch.setattr(outgrow, "PAGE", page)
    put_into_page(table)
    put_into_page(table)
    assert page.read_text() == f"a\n<!-- outgrow: begin -->\n{table}\n<!-- outgrow: end -->\nb\n"
