"""The Rescore operation: documents are grouped and scored by the core; each group gives one item.

The model reads tokenised texts unchanged, as the client that tokenised them has chosen the
passages. OpenSearch's plugin does so by the same rules as a plan's `method: kendra`. The model
therefore reads exactly the same text for the plugin's documents as when the proxy rescores the same
search. Plain titles and bodies are read as they stand, in whole sentences, as `/v1/rerank` reads
its documents. The plugin's rules would drop their numbers, negations and short words.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.documents import Document
from pipelines.errors import DeadlinePassed, NoText, Overloaded, RescoreError
from pipelines.kendra_passages import KendraPassages
from pipelines.plan import Plan
from pipelines.rescore import choose_document_passages
from pipelines.sentence_passages import TITLE_WORDS, SentencePassages
from sidecar.aws.errors import internal, throttled
from sidecar.aws.json import AwsError
from sidecar.aws.requests import run_off_loop
from sidecar.aws.shapes import has_controls, validation_error
from sidecar.config.kendra_ranking import KendraRanking
from sidecar.document_scoring import DocumentScoring, GivenDocument, NotReady
from sidecar.scoring_line import LineFull

TITLE_TOKENS = 100
BODY_TOKENS = 200
STRICT_GROUPS = 25
STRICT_DOCUMENTS = 3

WITHOUT_TEXT = 1e-7
"""The score of a group without text: lower than every other score."""

_LEAST, _MOST = 2e-7, 0.9999999
# Each text is one passage already; this keeps the core from cutting it.
_AS_GIVEN = SentencePassages(words=4000, overlap=0, per_group=100)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class GroupToScore:
    """The documents of one group. `key` is the group id, or else the id of the document.

    `whole` holds texts that the model reads unchanged; `plain` holds pairs of title and body, which
    are cut into passages.
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
    """Score the groups and write the answer to a Rescore. Raises AwsError."""
    started = time.monotonic()
    size = sum(_size(group) for group in groups)
    texts = await run_off_loop(size, lambda: cut_texts(plan, query_text, groups))
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
    """Collect documents into groups, in the order of their first documents.

    A document without a group id belongs to the group that its own id names, because an item of the
    answer has one field for both. Raises AwsError if a quota is exceeded.
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
    """The texts of each group that the models read; the list of a group without text is empty.

    Plain texts are cut by the plan's passages. If these are the plugin's, `sentences` takes their
    place: the plugin's rules are for what the plugin itself sends as tokens.
    """
    if isinstance(plan.passages, KendraPassages):
        sentences = SentencePassages(per_group=plan.passages.per_group)
        plan = plan.model_copy(update={"passages": sentences})
    texts = [list(group.whole) for group in groups]
    documents = [
        Document(position, title, body, 0.0, str(number))
        for position, (number, title, body) in enumerate(
            (number, title, body)
            for number, group in enumerate(groups)
            for title, body in group.plain
        )
    ]
    if documents:
        try:
            chosen = choose_document_passages(plan, query_text, documents)
        except NoText:
            return texts
        for group, passages in zip(chosen.groups, chosen.passages, strict=True):
            texts[int(group.key)] += [passage.text for passage in passages]
    return texts


def write_items(
    groups: Sequence[GroupToScore], scores: Sequence[float | None]
) -> list[dict[str, object]]:
    """One item for each group, sorted by score, then original score, then order of appearance."""

    def best_first(index: int) -> tuple[float, float]:
        score = scores[index]
        return (math.inf if score is None else -score, -groups[index].original_score)

    return [
        {"DocumentId": groups[index].key, "Score": write_score(scores[index])}
        for index in sorted(range(len(groups)), key=best_first)
    ]


def write_score(score: float | None) -> float:
    """A model's score as a number between 0 and 1: 1 / (1 + e^-score) to 7 significant digits.

    A higher score never gives a lower number, whatever the scale of the model. The result stays
    within 2e-7 and 0.9999999, as a 32-bit number would otherwise round to 0 or 1.
    """
    if score is None:
        return WITHOUT_TEXT
    # There are two ways to write the formula; this one cannot overflow.
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
    """One score for each group, None for a group without text. Raises AwsError."""
    scores: list[float | None] = [None] * len(texts)
    documents = [
        (index, GivenDocument(text, group=str(index)))
        for index, group in enumerate(texts)
        for text in group
    ]
    if not documents:
        return scores
    as_given = plan.model_copy(update={"passages": _AS_GIVEN})
    try:
        # Either all documents are read, or the answer is an error: an item has no way to say "not
        # read in time", and with an error the client keeps its own order.
        answer = await scoring.score(
            as_given, query_text, [text for _, text in documents], seconds, whole=True
        )
    except NoText:
        return scores
    except RescoreError as error:
        raise _explain(error) from error
    for (index, _), score in zip(documents, answer, strict=True):
        scores[index] = score
    return scores


def _explain(error: RescoreError) -> AwsError:
    match error:
        case LineFull():
            return throttled(
                "Too many requests are waiting for the model; try again in "
                f"{error.retry_after_s} seconds."
            )
        case Overloaded():
            return throttled("Too many requests are waiting for the model; try again later.")
        case DeadlinePassed():
            return throttled("The documents were not read in time; try again.")
        case NotReady():
            return throttled("The models are still loading; try again in a few seconds.")
        case _:
            _log.error("rescoring failed: %s (%s)", error, error.reason)
            return internal()


def _add_text(group: GroupToScore, document: Mapping[str, Any]) -> None:
    title_tokens = document.get("TokenizedTitle", ())[:TITLE_TOKENS]
    body_tokens = document.get("TokenizedBody", ())[:BODY_TOKENS]
    title = _clean(document["Title"]) if "Title" in document else " ".join(title_tokens)
    if "Body" in document:
        body = _clean(document["Body"])
        # Before each passage stand the first words of a title. A longer title is read in full, as
        # the beginning of the body.
        long_title = len(title.split()) > TITLE_WORDS
        group.plain.append(("", f"{title}\n{body}") if long_title else (title, body))
    elif body_tokens:
        group.whole.append(" ".join([title, *body_tokens] if title else body_tokens))
    elif title_tokens:
        group.whole.append(title)
    elif title:
        # The title stands in for the body, as some passage methods give no passage for a document
        # without a body.
        group.plain.append(("", title))


def _clean(text: str) -> str:
    if not has_controls(text):
        return text
    return "".join(" " if has_controls(char) else char for char in text)


def _size(group: GroupToScore) -> int:
    """The number of characters that must be cut into passages."""
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
        f"Value at 'documents' failed to satisfy constraint: there may be at most {most} {what}"
    )
