"""Shows a comparison: as tables for people, or as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from sidecar.evaluation.bootstrap import RESAMPLES
from sidecar.evaluation.comparison import NOTABLE, Comparison, Quality
from sidecar.screen import new_table

_EXTREMES = 5


def print_comparison(console: Console, comparison: Comparison, texts: Mapping[str, str]) -> None:
    """Print measures, interval, and the queries that changed most. `texts`: texts by query."""
    console.print(_measures(console, comparison))
    for line in _remarks(comparison):
        console.print(line, highlight=False)
    by_gain = sorted(comparison.gains.items(), key=lambda item: -item[1])
    helped = [query for query, gain in by_gain[:_EXTREMES] if gain > 0]
    harmed = [query for query, gain in reversed(by_gain[-_EXTREMES:]) if gain < 0]
    for heading, queries in (("Most helped", helped), ("Most harmed", harmed)):
        if queries:
            console.print()
            console.print(_extremes(console, heading, comparison, queries, texts))


def comparison_json(comparison: Comparison, texts: Mapping[str, str]) -> dict[str, Any]:
    """The whole comparison, every query with both values; times in milliseconds."""
    k, interval = comparison.k, comparison.interval
    return {
        "judged_queries": len(comparison.changes),
        "direct": _side_json(comparison.direct, k),
        "rescored": _side_json(comparison.rescored, k),
        f"ndcg@{k}_gain": comparison.gain,
        "interval": {"low": interval.low, "high": interval.high, "resamples": RESAMPLES},
        "helped": _shares(comparison, comparison.helped_by_more_than),
        "harmed": _shares(comparison, comparison.harmed_by_more_than),
        "outcomes": dict(comparison.outcomes),
        "queries": [
            {
                "query": query,
                "text": texts.get(query, ""),
                "direct": change.direct,
                "rescored": change.rescored,
                "gain": change.gain,
            }
            for query, change in comparison.changes.items()
        ],
    }


def _shares(comparison: Comparison, count: Any) -> dict[str, float]:
    queries = len(comparison.changes)
    return {"any": count(0) / queries, f"more_than_{NOTABLE}": count(NOTABLE) / queries}


def _side_json(side: Quality, k: int) -> dict[str, float]:
    return {
        f"ndcg@{k}": side.ndcg,
        f"mrr@{k}": side.reciprocal_rank,
        f"recall@{k}": side.recall,
        "p50_ms": side.median_ms,
        "p95_ms": side.p95_ms,
        "mean_ms": side.mean_ms,
    }


def _measures(console: Console, comparison: Comparison) -> Table:
    k = comparison.k
    table = new_table(console)
    table.add_column(f"{len(comparison.changes)} judged queries")
    for column in (f"nDCG@{k}", f"MRR@{k}", f"recall@{k}", "p50 ms", "p95 ms"):
        table.add_column(column, justify="right")
    direct, rescored = comparison.direct, comparison.rescored
    pairs = [
        (direct.ndcg, rescored.ndcg, ".4f"),
        (direct.reciprocal_rank, rescored.reciprocal_rank, ".4f"),
        (direct.recall, rescored.recall, ".4f"),
        (direct.median_ms, rescored.median_ms, ".1f"),
        (direct.p95_ms, rescored.p95_ms, ".1f"),
    ]
    table.add_row("OpenSearch alone", *(f"{before:{style}}" for before, _, style in pairs))
    table.add_row("rescored", *(f"{after:{style}}" for _, after, style in pairs))
    table.add_row("difference", *(f"{after - before:+{style}}" for before, after, style in pairs))
    return table


def _remarks(comparison: Comparison) -> list[str]:
    count, k = len(comparison.changes), comparison.k
    low, high = comparison.interval.low, comparison.interval.high
    remarks = [
        f"nDCG@{k} {comparison.gain:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
        " (paired bootstrap).",
        f"Queries helped {comparison.helped / count:.0%}, harmed {comparison.harmed / count:.0%};"
        f" by more than {NOTABLE}: {comparison.helped_by_more_than(NOTABLE) / count:.0%} and"
        f" {comparison.harmed_by_more_than(NOTABLE) / count:.0%}.",
    ]
    if set(comparison.outcomes) != {"applied"}:
        parts = ", ".join(f"{status}: {n}" for status, n in sorted(comparison.outcomes.items()))
        remarks.append(f"Not every search was rescored in full: {parts}.")
    return remarks


def _extremes(
    console: Console,
    heading: str,
    comparison: Comparison,
    queries: list[str],
    texts: Mapping[str, str],
) -> Table:
    table = new_table(console)
    table.add_column(heading, max_width=12, no_wrap=True, overflow="ellipsis")
    table.add_column("query text", ratio=1, no_wrap=True, overflow="ellipsis")
    for column in ("before", "after", "gain"):
        table.add_column(column, justify="right", min_width=6)
    for query in queries:
        change = comparison.changes[query]
        table.add_row(
            query,
            texts.get(query, ""),
            f"{change.direct:.3f}",
            f"{change.rescored:.3f}",
            f"{change.gain:+.3f}",
        )
    return table
