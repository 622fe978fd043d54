"""Explains the order of one search, hit by hit: as lines for people, or as one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from pipelines.rescore import ChosenPassages, Rescoring
from sidecar.opensearch.search_response import SearchResponse
from sidecar.screen import WIDTH


@dataclass(frozen=True, slots=True)
class ExplainedHit:
    """One hit of the rescored window. Ranks count from 1; `score` is its new `_score`.

    `passage` is the passage of its group with the best score of the last model that read it.
    `model_scores` has one entry per stage, None if that stage did not read the hit; `fused` is None
    if no stage did. Under additive fusion, `lexical` is what the words say, `added` what each stage
    adds to it, and `estimates` what stands for the scores of a model that did not read the hit;
    under other methods they are empty. `group` is the value that it shares with other hits, if the
    plan groups hits.
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
    lexical: float | None
    added: tuple[float | None, ...]
    estimates: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A rescored search: its hits in their new order, and what each stage did."""

    hits: tuple[ExplainedHit, ...]
    stages: tuple[dict[str, Any], ...]


def explain_rescoring(
    search_response: SearchResponse, chosen: ChosenPassages, rescoring: Rescoring
) -> Explanation:
    """Combine OpenSearch's hits with the models' scores."""
    documents = {
        document.position: document for group in chosen.groups for document in group.documents
    }
    hits = []
    for rank, ranked in enumerate(rescoring.ranking, start=1):
        hit, report = search_response.hits[ranked.position], rescoring.hits[ranked.position]
        document = documents[ranked.position]
        hits.append(
            ExplainedHit(
                rank=rank,
                original_rank=ranked.position + 1,
                id=hit.id,
                index=hit.index_name,
                original_score=document.original_score,
                score=ranked.score,
                title=document.title,
                group=document.group_value,
                passage=report.passage,
                model_scores=report.scores,
                fused=report.fused,
                lexical=report.lexical,
                added=report.added,
                estimates=report.estimates,
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
    """Print the first `size` hits, two lines each, at most 80 columns wide.

    Under additive fusion the columns of the models are what their stages add.
    """
    width = min(WIDTH, console.width)
    models = [str(stage["model"]) for stage in explanation.stages]
    adds = any(hit.added for hit in explanation.hits)
    numbers = ["original", *(["words"] if adds else []), *models, "fused"]
    columns = [max(8, min(12, len(name))) for name in numbers]
    name_width = max(10, width - 10 - sum(column + 1 for column in columns))
    heading = f"{'now':>4} {'was':>4} {'hit':{name_width}}" + "".join(
        f" {name[:column]:>{column}}" for name, column in zip(numbers, columns, strict=True)
    )
    console.print(Text(heading, style="bold", no_wrap=True))
    for hit in explanation.hits[:size]:
        values = [_number(hit.original_score), *_show_models(hit, adds), _number(hit.fused)]
        name = hit.id if hit.group is None else f"{hit.id} (group {hit.group})"
        line = f"{hit.rank:4} {hit.original_rank:4} {_cut(name, name_width):{name_width}}"
        for value, column in zip(values, columns, strict=True):
            line += f" {value:>{column}}"
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
                **_parts_json(hit, models),
            }
            for hit in explanation.hits
        ],
    }


def _parts_json(hit: ExplainedHit, models: Sequence[str]) -> dict[str, Any]:
    if not hit.added:
        return {}
    stages = [
        {"model": model, "added": added, "estimate": estimate}
        for model, added, estimate in zip(models, hit.added, hit.estimates, strict=True)
    ]
    return {"parts": {"words": hit.lexical, "stages": stages}}


def _show_models(hit: ExplainedHit, adds: bool) -> list[str]:
    """The stages' scores; under additive fusion what the words and each stage add.

    `~` stands before what is estimated, as the model did not read the hit.
    """
    if not adds:
        return [_number(score) for score in hit.model_scores]
    stages = zip(hit.added, hit.estimates, strict=True)
    shown = [_number(added, "" if estimate is None else "~") for added, estimate in stages]
    return [_number(hit.lexical), *shown]


def _number(value: float | None, before: str = "") -> str:
    return "-" if value is None else f"{before}{value:.3f}"


def _cut(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "\u2026"
