"""The input of `evaluate` and `tune`: an index, queries, judgments, and a search body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from pipelines.plan import Plan
from sidecar.commands.terminal import Refused
from sidecar.evaluation.files import BadFile
from sidecar.evaluation.judgments import read_judgments
from sidecar.evaluation.queries import join, read_queries
from sidecar.evaluation.search_body import plain_template, read_template, search_body

Command = Callable[..., Any]

index_option = click.option("--index", help="Index or alias to search, as applications write it.")
queries_option = click.option(
    "--queries",
    "queries_path",
    type=click.Path(path_type=Path),
    help="Queries: BEIR jsonl, id<TAB>text or TREC topics. Not needed if the judgments name"
    " queries by their texts.",
)
qrels_option = click.option(
    "--qrels",
    "qrels_path",
    type=click.Path(path_type=Path),
    help="Judgments: TREC qrels, BEIR tsv, or a judgment list of the Search Relevance Workbench"
    " (JSON or CSV).",
)
body_option = click.option(
    "--body",
    "body_path",
    type=click.Path(path_type=Path),
    help="Search body with {{query}} where the query text belongs; by default a multi_match on the"
    " plan's fields.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@dataclass(frozen=True, slots=True)
class JudgedQueries:
    """Judged queries, ready to search with: texts, grades and search template."""

    texts: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, float]]
    template: Mapping[str, Any]

    def bodies(self, size: int) -> dict[str, dict[str, Any]]:
        """The search body of each query, for its first `size` hits."""
        return {query: search_body(self.template, text, size) for query, text in self.texts.items()}


def read_template_or_plain(body_path: Path | None, plan: Plan) -> Mapping[str, Any]:
    """The user's search template, or a plain one. Raises Refused."""
    if body_path is None:
        return plain_template(plan)
    try:
        return read_template(body_path)
    except BadFile as error:
        raise Refused(str(error)) from None


def read_judged_queries(
    stderr: Console,
    plan: Plan,
    queries_path: Path | None,
    qrels_path: Path,
    body_path: Path | None,
) -> JudgedQueries:
    """Read all files, and print how many judged queries have no text. Raises Refused."""
    try:
        judgments = read_judgments(qrels_path)
        texts = join(read_queries(queries_path) if queries_path else None, judgments)
    except ValueError as error:
        raise Refused(str(error)) from None
    missing = len(judgments.grades) - len(texts)
    if missing:
        stderr.print(f"{missing} judged queries have no text and are left out.", highlight=False)
    qrels = {query: judgments.grades[query] for query in texts}
    return JudgedQueries(texts, qrels, read_template_or_plain(body_path, plan))
