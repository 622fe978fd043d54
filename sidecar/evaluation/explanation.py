"""How one search came to its order, hit by hit; shown in lines for people or as one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from pipelines.rescore import Prepared, Rescoring
from sidecar.opensearch.search_response import ReadHits
from sidecar.screen import WIDTH


@dataclass(frozen=True, slots=True)
class ExplainedHit:
    """One hit of the rescored window. Ranks count from 1; `score` is its new `_score`.

    `passage` is the text of its group that the last model to read it liked best, `model_scores`
    has one entry a stage, None where that stage did not read it; so has `fused`. `group` is the
    value that it shares with other hits, where the plan groups.
    """

    rank: int
    original_rank: int
    id: str
    index: str
    original_score: float
    score: float | None
    title: str
    group: str | None
    passage: str | None
    model_scores: tuple[float | None, ...]
    fused: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A rescored search: its hits in their new order, and what each stage did."""

    hits: tuple[ExplainedHit, ...]
    stages: tuple[dict[str, Any], ...]


def explain_rescoring(read: ReadHits, prepared: Prepared, rescoring: Rescoring) -> Explanation:
    """Join what OpenSearch gave with what the models made of it."""
    documents = {
        document.position: document for group in prepared.groups for document in group.documents
    }
    hits = []
    for rank, ranked in enumerate(rescoring.ranking, start=1):
        found, report = read.hits[ranked.position], rescoring.hits[ranked.position]
        document = documents[ranked.position]
        hits.append(
            ExplainedHit(
                rank=rank,
                original_rank=ranked.position + 1,
                id=found.id,
                index=found.index_name,
                original_score=document.original_score,
                score=ranked.score,
                title=document.title,
                group=document.group_value,
                passage=report.passage,
                model_scores=report.scores,
                fused=report.fused,
            )
        )
    stages = tuple(
        {
            "model": stage.model,
            "groups": stage.groups,
            "scored": stage.scored,
            "reason": stage.reason,
        }
        for stage in rescoring.stages
    )
    return Explanation(tuple(hits), stages)


def print_explanation(console: Console, explanation: Explanation, size: int) -> None:
    """Print the first `size` hits, two lines each, at most 80 columns wide."""
    width = min(WIDTH, console.width)
    models = [str(stage["model"]) for stage in explanation.stages]
    numbers = ["original", *models, "fused"]
    columns = [max(8, min(12, len(name))) for name in numbers]
    name_width = max(10, width - 10 - sum(column + 1 for column in columns))
    heading = f"{'now':>4} {'was':>4} {'hit':{name_width}}" + "".join(
        f" {name[:column]:>{column}}" for name, column in zip(numbers, columns, strict=True)
    )
    console.print(Text(heading, style="bold", no_wrap=True))
    for hit in explanation.hits[:size]:
        values = (hit.original_score, *hit.model_scores, hit.fused)
        name = hit.id if hit.group is None else f"{hit.id} (group {hit.group})"
        line = f"{hit.rank:4} {hit.original_rank:4} {_cut(name, name_width):{name_width}}"
        for value, column in zip(values, columns, strict=True):
            line += f" {'-' if value is None else f'{value:.3f}':>{column}}"
        moved = hit.original_rank - hit.rank
        console.print(Text(line, style="green" if moved > 0 else "", no_wrap=True))
        text = hit.passage or hit.title or "(no text in the plan's fields)"
        console.print(Text(" " * 10 + _cut(text, width - 10), style="dim", no_wrap=True))


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """The whole window."""
    models = [stage["model"] for stage in explanation.stages]
    return {
        "stages": list(explanation.stages),
        "hits": [
            {
                "rank": hit.rank,
                "original_rank": hit.original_rank,
                "id": hit.id,
                "index": hit.index,
                "original_score": hit.original_score,
                "score": hit.score,
                "title": hit.title,
                "group": hit.group,
                "passage": hit.passage,
                "model_scores": [
                    {"model": model, "score": score}
                    for model, score in zip(models, hit.model_scores, strict=True)
                ],
                "fused": hit.fused,
            }
            for hit in explanation.hits
        ],
    }


def _cut(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "\u2026"
