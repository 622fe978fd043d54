"""docs/benchmarks.md: written whole from the figures that are kept."""

from __future__ import annotations

from benchmarks.__main__ import PAGE, parts, read_runs
from benchmarks.document import Run, print_lines, write_document
from benchmarks.figures import Bar, Part, Spread, Table

FIGURE = Spread(9.6, 8.7, 10.1, "x")
PART = Part(
    "models",
    "A model alone",
    "How it was done.",
    (Table("Times", ("", "25 x 3"), (("ours", FIGURE), ("theirs", "none")), "A note."),),
    (
        Bar("cold", FIGURE, "least", 8, 10),
        Bar("slow", Spread(3, 3, 3, " ms"), "most", 2, 1, "Its disk."),
    ),
)
MACHINE = {"processor": "A processor", "cores": "2"}


def test_the_page_has_the_bars_first_and_every_figure() -> None:
    page = write_document([Run(PART, "21 November 2026", MACHINE, "0.1, 0.2, 0.3")])
    lines = page.splitlines()
    assert "| cold | 9.6x (8.7-10.1) | at least 8x | at least 10x | bar passed |" in lines
    assert "| slow | 3.0 ms | at most 2 ms | at most 1 ms | missed |" in lines
    assert "| ours | 9.6x (8.7-10.1) |" in lines
    assert "| processor | A processor |" in lines
    assert "A note." in lines
    assert "**slow:** Its disk." in lines
    assert "Measured 21 November 2026; load of the machine before: 0.1, 0.2, 0.3." in lines
    assert lines.index("## Bars") < lines.index("## A model alone")


def test_what_could_not_be_measured_is_said() -> None:
    part = Part("relay", "Pass-through", "How.", missing="nginx not installed")
    page = write_document([Run(part, "now", MACHINE, "0")])
    assert "**Not measured:** nginx not installed" in page
    assert "## Bars" not in page
    assert "  not measured: nginx not installed" in print_lines(part)


def test_parts_of_two_machines_are_told_apart() -> None:
    other = Part("relay", "Pass-through", "How.")
    runs = [Run(PART, "a", MACHINE, "0"), Run(other, "b", {**MACHINE, "cores": "8"}, "0")]
    page = write_document(runs)
    assert "Parts models:" in page
    assert "Parts relay:" in page
    assert "| cores | 8 |" in page


def test_the_terminals_columns_stand_under_each_other() -> None:
    lines = print_lines(PART)
    head, ours, theirs = (line for line in lines if line.startswith("    "))
    assert len(head) == len(ours) == len(theirs)
    assert "  cold: 9.6x (8.7-10.1); at least 8x: bar passed" in lines


def test_the_page_in_the_repository_is_written_from_the_figures_in_it() -> None:
    assert write_document(read_runs(parts())) == PAGE.read_text(), "run: make bench"
