"""Prints the demo's results: a few searches before and after, then the measures over all."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.plan import Plan
from sidecar.demo.collection import Collection
from sidecar.demo.index import INDEX, search_body
from sidecar.evaluation.comparison import CUT, Comparison, Quality
from sidecar.evaluation.searching import RankedAnswer
from sidecar.screen import new_table

_TOP = 3


def print_report(
    console: Console,
    collection: Collection,
    direct: Mapping[str, RankedAnswer],
    rescored: Mapping[str, RankedAnswer],
    comparison: Comparison,
    plan: Plan,
) -> None:
    """Print the whole report, at most 80 columns wide."""
    titles = {document.id: document.title for document in collection.documents}
    for heading, query in choose_examples(comparison.gains):
        console.print()
        console.print(Text(f"{heading}: ", style="bold") + Text(collection.queries[query]))
        grades = collection.qrels[query]
        console.print(
            _example(
                console,
                [_hit(titles, grades, i) for i in direct[query].ranked_ids[:_TOP]],
                [_hit(titles, grades, i) for i in rescored[query].ranked_ids[:_TOP]],
            )
        )
    console.print("* judged relevant by the collection's authors\n")
    console.print(_measures(console, comparison))
    for line in _remarks(comparison, plan):
        console.print(line, highlight=False)


def choose_examples(gains: Mapping[str, float]) -> list[tuple[str, str]]:
    """Headings and query ids: the two greatest gains and the greatest loss, if there are any."""
    order = sorted(gains, key=lambda query: -gains[query])
    helped = [("Helped most", query) for query in order[:2] if gains[query] > 0]
    harmed = [("Harmed most", query) for query in order[-1:] if gains[query] < 0]
    return helped + harmed


def curl_lines(proxy: str, query_text: str) -> tuple[str, str]:
    """Two commands to paste into a shell: one search, rescored and in the original order."""
    # `pretty` puts each key on a line of its own, so that grep can drop the abstracts.
    url = f"http://{proxy}/{INDEX}/_search?pretty"
    body = json.dumps(search_body(query_text, size=5), ensure_ascii=False)
    rest = (
        f"{shlex.quote(url)} -H 'Content-Type: application/json'"
        f""" -d {shlex.quote(body)} | grep -E '"(_score|title)"'"""
    )
    return f"curl -s {rest}", f"curl -s -H 'X-Rescore: off' {rest}"


def _example(console: Console, before: Sequence[Text], after: Sequence[Text]) -> Table:
    table = new_table(console)
    table.add_column("", width=1)
    table.add_column("OpenSearch alone", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("rescored", ratio=1, no_wrap=True, overflow="ellipsis")
    for rank in range(_TOP):
        cells = [side[rank] if rank < len(side) else Text() for side in (before, after)]
        table.add_row(str(rank + 1), *cells)
    return table


def _hit(titles: Mapping[str, str], grades: Mapping[str, int], document: str) -> Text:
    relevant = grades.get(document, 0) > 0
    mark = "* " if relevant else "  "
    return Text(mark + titles.get(document, document), style="green" if relevant else "")


def _measures(console: Console, comparison: Comparison) -> Table:
    table = new_table(console)
    table.add_column(f"{len(comparison.gains)} judged queries")
    for column in (f"nDCG@{CUT}", f"MRR@{CUT}", "warm search, median"):
        table.add_column(column, justify="right")

    def add(name: str, side: Quality) -> None:
        table.add_row(
            name, f"{side.ndcg:.4f}", f"{side.reciprocal_rank:.4f}", f"{side.median_ms:.1f} ms"
        )

    add("OpenSearch alone", comparison.direct)
    add("rescored", comparison.rescored)
    table.add_row(
        "difference",
        f"{comparison.rescored.ndcg - comparison.direct.ndcg:+.4f}",
        f"{comparison.rescored.reciprocal_rank - comparison.direct.reciprocal_rank:+.4f}",
        f"{comparison.rescored.median_ms - comparison.direct.median_ms:+.1f} ms",
    )
    return table


def _remarks(comparison: Comparison, plan: Plan) -> list[str]:
    count = len(comparison.gains)
    same = count - comparison.helped - comparison.harmed
    weights = [value for name, value in plan.fusion if name == "weight"]
    weights += [stage.weight for stage in plan.stages if stage.weight is not None]
    settings = "".join(f", weight {weight:g}" for weight in weights)
    remarks = [
        f"Queries helped {comparison.helped / count:.0%}, harmed {comparison.harmed / count:.0%},"
        f" the same {same / count:.0%} (by nDCG@{CUT}).",
        f"Plan: window {plan.rescore_window}, fusion {plan.fusion.method}{settings},"
        f" deadline {plan.deadline_ms} ms.",
    ]
    if set(comparison.outcomes) != {"applied"}:
        parts = ", ".join(f"{status}: {n}" for status, n in sorted(comparison.outcomes.items()))
        remarks.append(f"Not every search was rescored: {parts}.")
    return remarks
