"""Rescore: the documents of a request, grouped, scored by the core, and one item for each group.

Tokenised texts are read as they are: whoever tokenised them has chosen the passages, as
OpenSearch's plugin does by the same rules as a plan's `method: kendra`. So the plugin's documents
are, to the character, what the model reads when the proxy rescores the same search. Plain texts
are cut by the plan, as the proxy cuts a hit's.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.errors import DeadlinePassed, NoText, Overloaded, RescoreError
from pipelines.hits import Hit
from pipelines.plan import DocumentFields, Passages, Plan
from pipelines.rescore import prepare
from sidecar.aws_errors import internal, throttled
from sidecar.aws_json import AwsError
from sidecar.aws_shapes import has_controls, validation_error
from sidecar.config_kendra_ranking import KendraRanking
from sidecar.document_scoring import DocumentScoring, GivenDocument, NotReady

TITLE_TOKENS = 100
BODY_TOKENS = 200
STRICT_GROUPS = 25
STRICT_DOCUMENTS = 3

WITHOUT_TEXT = 1e-7
"""The score of a group that has nothing to read: below every other."""

_LEAST, _MOST = 2e-7, 0.9999999
_ON_THE_LOOP = 4096
# What is given to the core as one passage stays one.
_AS_GIVEN = Passages(method="sentences", tokens=4000, overlap=0, per_document=100)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class GroupToScore:
    """The documents of one group. `key` is the group id, or the id of a document without one.

    `whole` are texts that are read as they are, `plain` pairs of title and body to be cut.
    """

    key: str
    original_score: float
    whole: list[str] = field(default_factory=list)
    plain: list[tuple[str, str]] = field(default_factory=list)


async def rescore_groups(
    query_text: str,
    groups: Sequence[GroupToScore],
    plan: Plan,
    scoring: DocumentScoring,
    deadline_s: float,
) -> dict[str, object]:
    """Score the groups and write the answer of a Rescore; raises AwsError."""
    started = time.monotonic()
    if sum(_size(group) for group in groups) <= _ON_THE_LOOP:
        texts = cut_texts(plan, query_text, groups)
    else:
        texts = await asyncio.to_thread(cut_texts, plan, query_text, groups)
    seconds_left = deadline_s - (time.monotonic() - started)
    scores = await _score(plan, query_text, texts, scoring, seconds_left)
    rescore_id = str(uuid.uuid4())
    _log.info(
        "rescored %s: %d groups in %.1f ms",
        rescore_id,
        len(groups),
        (time.monotonic() - started) * 1000,
    )
    return {"RescoreId": rescore_id, "ResultItems": write_items(groups, scores)}


def read_groups(
    documents: Sequence[Mapping[str, Any]], settings: KendraRanking
) -> list[GroupToScore]:
    """Gather documents into groups, in order of first appearance; raises AwsError over quota.

    A document without a group id is in the group that its own id names, as an answer's item has
    one field for both.
    """
    groups: dict[str, GroupToScore] = {}
    sizes: dict[str, int] = {}
    most = STRICT_GROUPS if settings.strict_quotas else settings.max_groups
    for number, document in enumerate(documents, start=1):
        if settings.strict_quotas:
            _check_tokens(document, number)
        key = document.get("GroupId", document["Id"])
        score = document["OriginalScore"]
        group = groups.setdefault(key, GroupToScore(key, score))
        group.original_score = max(group.original_score, score)
        sizes[key] = sizes.get(key, 0) + 1
        if settings.strict_quotas and sizes[key] > STRICT_DOCUMENTS:
            raise _over_quota("documents in a group", STRICT_DOCUMENTS)
        _add_text(group, document)
    if len(groups) > most:
        raise _over_quota("documents, counted by their groups", most)
    return list(groups.values())


def cut_texts(plan: Plan, query_text: str, groups: Sequence[GroupToScore]) -> list[list[str]]:
    """The texts of each group that the models read; none for a group without any."""
    texts = [list(group.whole) for group in groups]
    hits = [
        Hit(position, 0.0, {"title": title, "body": body, "group": str(number)})
        for position, (number, title, body) in enumerate(
            (number, title, body)
            for number, group in enumerate(groups)
            for title, body in group.plain
        )
    ]
    if hits:
        cut = plan.model_copy(
            update={
                "document": DocumentFields(title=("title",), body=("body",)),
                "group_by": "group",
            }
        )
        try:
            prepared = prepare(cut, query_text, hits)
        except NoText:
            return texts
        for group, passages in zip(prepared.groups, prepared.passages, strict=True):
            texts[int(group.key)] += [passage.text for passage in passages]
    return texts


def write_items(
    groups: Sequence[GroupToScore], scores: Sequence[float | None]
) -> list[dict[str, object]]:
    """One item a group: best score first, then best original score, then first appearance."""

    def best_first(index: int) -> tuple[float, float]:
        score = scores[index]
        return (math.inf if score is None else -score, -groups[index].original_score)

    return [
        {"DocumentId": groups[index].key, "Score": write_score(scores[index])}
        for index in sorted(range(len(groups)), key=best_first)
    ]


def write_score(score: float | None) -> float:
    """A model's score within (0, 1): 1 / (1 + e^-score) to 7 significant digits.

    It never falls where the score rises, whatever the model's own scale. The ends are cut where
    a 32-bit number would become 0 or 1.
    """
    if score is None:
        return WITHOUT_TEXT
    # Of the two ways to write it, the one whose power cannot overflow.
    power = math.exp(-abs(score))
    value = 1 / (1 + power) if score >= 0 else power / (1 + power)
    return float(f"{min(max(value, _LEAST), _MOST):.7g}")


async def _score(
    plan: Plan,
    query_text: str,
    texts: Sequence[Sequence[str]],
    scoring: DocumentScoring,
    seconds: float,
) -> list[float | None]:
    """One score a group, None for those without text; raises AwsError."""
    scores: list[float | None] = [None] * len(texts)
    given = [
        (index, GivenDocument(text, group=str(index)))
        for index, group in enumerate(texts)
        for text in group
    ]
    if not given:
        return scores
    as_given = plan.model_copy(update={"passages": _AS_GIVEN})
    try:
        # All or an error: an answer has no word for "not read in time", and the caller still has
        # the order it came with.
        answer = await scoring.score(
            as_given, query_text, [text for _, text in given], seconds, whole=True
        )
    except NoText:
        return scores
    except RescoreError as error:
        raise _explain(error) from error
    for (index, _), score in zip(given, answer, strict=True):
        scores[index] = score
    return scores


def _explain(error: RescoreError) -> AwsError:
    match error:
        case Overloaded():
            return throttled("Too many requests wait for the model; try again later.")
        case DeadlinePassed():
            return throttled("The documents were not read in time; try again.")
        case NotReady():
            return throttled("The models are still being loaded; try again in seconds.")
        case _:
            _log.error("rescoring failed: %s (%s)", error, error.reason)
            return internal()


def _add_text(group: GroupToScore, document: Mapping[str, Any]) -> None:
    title_tokens = document.get("TokenizedTitle", ())[:TITLE_TOKENS]
    body_tokens = document.get("TokenizedBody", ())[:BODY_TOKENS]
    title = _clean(document["Title"]) if "Title" in document else " ".join(title_tokens)
    if "Body" in document:
        group.plain.append((title, _clean(document["Body"])))
    elif body_tokens:
        group.whole.append(" ".join([title, *body_tokens] if title else body_tokens))
    elif title_tokens:
        group.whole.append(title)
    elif title:
        # Alone it is the body: some ways to cut give nothing for a document without one.
        group.plain.append(("", title))


def _clean(text: str) -> str:
    if not has_controls(text):
        return text
    return "".join(" " if has_controls(char) else char for char in text)


def _size(group: GroupToScore) -> int:
    """Characters that are still to be cut; whole texts are only handed on."""
    return sum(len(title) + len(body) for title, body in group.plain)


def _check_tokens(document: Mapping[str, Any], number: int) -> None:
    for name, most in (("TokenizedTitle", TITLE_TOKENS), ("TokenizedBody", BODY_TOKENS)):
        if len(document.get(name, ())) > most:
            path = f"documents.{number}.member.{name[0].lower()}{name[1:]}"
            raise validation_error(
                f"Value at '{path}' failed to satisfy constraint: Member must have length less "
                f"than or equal to {most}"
            )


def _over_quota(what: str, most: int) -> AwsError:
    return validation_error(
        f"Value at 'documents' failed to satisfy constraint: there may be {most} {what}"
    )
