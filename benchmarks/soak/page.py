"""Writes docs/soak.md from the results of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from benchmarks.soak.results import Results, list_faults, measure_growth

_ROWS: Final = 12
_NAMES: Final = {
    "rss_mb": "memory (RSS), MB",
    "descriptors": "open descriptors",
    "threads": "threads",
    "tasks": "tasks of the event loop",
}


def write_page(results: Results, command: str, load: str, machine: Mapping[str, str]) -> str:
    """The page. `command` is what was typed; `load` says what ran, in sentences."""
    faults = list_faults(results)
    verdict = "No fault." if not faults else "Faults:"
    lines = [
        "# A long run",
        "",
        f"Written by `{command}`; do not edit by hand.",
        "",
        load,
        "",
        "An answer is wrong if a rescored search has another order than it had before the load,",
        "with the same plan and window. A request is lost if it fails, unless it began while a",
        "node was dead or the cluster was settling after that. A document is lost if its write was",
        "acknowledged and the index does not have it at the end.",
        "",
        f"**{verdict}**",
        *(["", *(f"- {fault}" for fault in faults)] if faults else []),
        "",
        "## What the sidecar uses",
        "",
        *_grid(
            ("", "second quarter", "last quarter", "at rest before", "at rest after"),
            (
                (
                    _NAMES[one.name],
                    *(f"{value:.0f}" for value in (one.early, one.late, one.before, one.after)),
                )
                for one in measure_growth(results)
            ),
        ),
        "",
        "A quarter's memory is its median. Its descriptors, threads and tasks are the least of its",
        "samples, since each request that is being answered has some of its own; what leaks stays.",
        "At rest before the load, caches are empty; after it, they are full.",
        "",
        *_grid(
            ("seconds", *_NAMES.values()),
            (
                (
                    f"{one.seconds:.0f}",
                    f"{one.rss_mb:.0f}",
                    *(str(value) for value in (one.descriptors, one.threads, one.tasks)),
                )
                for one in results.samples[:: max(len(results.samples) // _ROWS, 1)]
            ),
        ),
        "",
        "## Requests",
        "",
        *_counts("request and its end", results.answers),
        "",
        f"{len(results.written):,} documents were acknowledged; the end looks for each of them.",
        f"Nodes that were killed: {results.kills}. What ended because of it:",
        "",
        *_counts("request and its end", results.excused),
        "",
        "## Reloads",
        "",
        *_counts("outcome", results.reloads),
        "",
        "## The machine",
        "",
        *_grid(("", ""), machine.items()),
    ]
    return "\n".join(lines) + "\n"


def _counts(name: str, counts: Counter[str]) -> list[str]:
    rows = [(what, f"{number:,}") for what, number in sorted(counts.items())]
    return _grid((name, "number"), rows) if rows else ["Nothing."]


def _grid(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(head)
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *map(list, rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
