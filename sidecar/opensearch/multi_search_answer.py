"""The answer to an `_msearch`: reads the responses to its items, and decides what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from sidecar.opensearch.answer_rescoring import SearchContext, read_widened_response
from sidecar.opensearch.default_pipelines import NO_DEFAULT, DefaultPipeline
from sidecar.opensearch.exchange import ForwardUnchanged, run_unless_busy
from sidecar.opensearch.index_lessons import LessonKeys
from sidecar.opensearch.multi_search_request import Item
from sidecar.opensearch.outcome import FIELD, Outcome, Status
from sidecar.opensearch.pipelines import judge_default
from sidecar.opensearch.refusals import (
    REFUSED_STATUSES,
    are_shards_missing,
    judge,
    read_causes,
    read_result_window,
)
from sidecar.opensearch.rescore_section import NO_SECTION, RescoreSection, SectionMistake
from sidecar.opensearch.search_request import SearchRequest
from sidecar.opensearch.search_response import MAX_VALUES, SearchResponse
from sidecar.opensearch.widened_search import look_up_again, narrow
from sidecar.spans.json_amounts import has_more_values
from sidecar.spans.json_spans import (
    NotJson,
    Spanned,
    read_array,
    read_document,
    read_object,
    read_value,
)

_MAX_MEMBERS = 100
"""Maximum number of members of an answer; OpenSearch writes two."""


_WORST_FIRST: tuple[Status, ...] = ("failed", "skipped", "partial", "applied", "shadow")


class ContextOf(Protocol):
    """Returns the context for a search of an index list, whose body has this section; the outcome,
    if such searches are not rescored; None, if the list has no plan."""

    def __call__(
        self, names: Sequence[str], section: RescoreSection | SectionMistake = NO_SECTION, /
    ) -> SearchContext | Outcome | None:
        """See the class."""
        ...


@dataclass(frozen=True, slots=True)
class WidenedItem:
    """An item that is rescored; `default` is its indexes' search pipeline, if it names none."""

    item: Item
    search_request: SearchRequest
    context: SearchContext
    keys: LessonKeys
    default: DefaultPipeline = NO_DEFAULT


@dataclass(frozen=True, slots=True)
class Responses:
    """An answer as text, with the span of the response to each item."""

    text: str
    items: Sequence[Spanned]

    def text_of(self, position: int) -> str:
        """The text of the response to one item."""
        return self.text[self.items[position].start : self.items[position].end]


@dataclass(frozen=True, slots=True)
class ItemRetry:
    """An item whose error may have its cause in the widened window; it is sent once more.

    It is sent for fewer hits (`narrowed`), or as the client wrote it, with this `outcome`.
    """

    outcome: Outcome
    narrowed: WidenedItem | None = None


async def read_responses(content: bytes, count: int) -> Responses:
    """The responses in an answer. Raises ForwardUnchanged unless there are `count` of them."""
    return await run_unless_busy(len(content), lambda: _read(content, count))


async def judge_item(
    responses: Responses, position: int, widened_item: WidenedItem
) -> SearchResponse | Outcome | ItemRetry:
    """The response to a widened item, if it can be rescored; its outcome, if the client gets
    OpenSearch's response unchanged; or a retry."""
    response = responses.items[position].value
    failed = partial(Outcome, widened_item.context.plan_name, "failed")
    if not isinstance(response, dict):
        return ItemRetry(failed("unreadable"))
    lessons = widened_item.context.lessons
    status = response.get("status")
    if status == 200:
        try:
            answer = responses.text_of(position).encode("utf-8", "surrogatepass")
            search_response = await read_widened_response(
                answer, widened_item.search_request, widened_item.context.known_sources
            )
        except ForwardUnchanged as error:
            return ItemRetry(Outcome(widened_item.context.plan_name, error.status, error.reason))
        if not search_response.shards_failed or are_shards_missing(search_response.causes):
            lessons.learn_success(widened_item.keys)
            context = widened_item.context
            default = look_up_again(widened_item.default, context)
            skip = judge_default(default.name, context.pipelines)
            if skip is not None:
                return ItemRetry(Outcome(context.plan_name, "skipped", skip.reason, key=skip.key))
            return search_response
        causes, reason = search_response.causes, "shard_failures"
    elif isinstance(status, int):
        causes, reason = read_causes(response), "upstream_status"
        match judge(status, causes):
            case "overload":
                lessons.learn_trouble(
                    widened_item.keys, "overload", widened_item.search_request.target
                )
                return failed(reason)
            case "same" if status in REFUSED_STATUSES:
                return Outcome(widened_item.context.plan_name, "skipped", "refused")
            case "same":
                return failed(reason)
            case "own":
                pass
    else:
        return ItemRetry(failed("upstream_status"))
    limit = read_result_window(causes, widened_item.search_request.fetch)
    if limit is None:
        return ItemRetry(failed(reason))
    lessons.learn_limit(widened_item.keys, limit, ",".join(widened_item.item.names).encode())
    try:
        return ItemRetry(
            failed(reason),
            replace(widened_item, search_request=narrow(widened_item.search_request, limit)),
        )
    except ForwardUnchanged as error:
        return ItemRetry(Outcome(widened_item.context.plan_name, error.status, error.reason))


def is_success(response: object) -> bool:
    """Whether the response to an item is that of a search that succeeded on all shards."""
    if not isinstance(response, dict) or response.get("status") != 200:
        return False
    shards = response.get("_shards")
    return isinstance(shards, dict) and shards.get("failed") == 0


def write_header(outcomes: Sequence[Outcome]) -> bytes:
    """One header line for all items that have a route: the worst status and its first reason."""
    worst = min(outcomes, key=lambda outcome: _WORST_FIRST.index(outcome.status))
    rescored = [outcome for outcome in outcomes if outcome.status in ("applied", "partial")]
    parts: list[str] = [worst.status]
    if worst.reason:
        parts.append(f"reason={worst.reason}")
    parts.append(f"plan={'+'.join(dict.fromkeys(outcome.plan for outcome in outcomes))}")
    if worst.key:
        parts.append(f"key={worst.key}")
    parts += [f"items={len(outcomes)}", f"rescored={len(rescored)}"]
    if rescored:
        parts.append(f"ms={sum(outcome.ms for outcome in outcomes):.1f}")
    dropped = [outcome.dropped for outcome in outcomes if outcome.dropped is not None]
    if dropped:
        parts.append(f"dropped={sum(dropped)}")
    return FIELD + b": " + "; ".join(parts).encode("ascii")


def _read(content: bytes, count: int) -> Responses:
    if has_more_values(content, MAX_VALUES):
        raise ForwardUnchanged("failed", "too_large")
    try:
        text = content.decode("utf-8", "surrogatepass")
        readers = {"responses": partial(read_array, element=read_value, most=count)}
        root = read_document(text, partial(read_object, readers=readers, most=_MAX_MEMBERS))
    except (UnicodeDecodeError, NotJson):
        raise ForwardUnchanged("failed", "unreadable") from None
    items = root["responses"].value if "responses" in root else ()
    if len(items) != count:
        raise ForwardUnchanged("failed", "unreadable")
    return Responses(text, items)
