"""Learns the default search pipeline of the indexes that a search searches.

An index may have a pipeline for all searches that name none (`index.search.default_pipeline`). The
search does not say so, so OpenSearch is asked for the setting, with all fields of the client's head
that identify the client. An answer belongs to one caller and one index list, and is used for a
minute; from its half on, it is fetched again beside a search. Only a search for which there is no
answer waits for one, for some milliseconds.

A caller who may not read settings, or gets no usable answer, is asked for again after ten minutes,
because a refusal is a line in an audit log. Until then such searches count as searches without a
pipeline. A question goes on for two seconds at most, also if its search has ended.

Several indexes: OpenSearch uses the pipeline that all those with a default name, and none if they
name different ones. A search without an index list has no default pipeline. Measured on 2.19.1 and
3.8.0; the source is `SearchPipelineService.resolvePipeline`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Final, Literal

from sidecar.bounded_cache import BoundedCache
from sidecar.event_loop.off_loop import NEW, Busy, off_loop
from sidecar.metrics import Metrics
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.text_fetch import ABOUT_THE_BODY
from sidecar.opensearch.url_options import INDEX_OPTIONS
from sidecar.opensearch_rules.limits import REQUEST_LINE_BYTES
from sidecar.relay.errors import (
    OutOfDescriptors,
    UpstreamBroken,
    UpstreamError,
    UpstreamUnavailable,
)
from sidecar.relay.front import Exchanger, Response
from sidecar.relay.heads import RequestHead
from sidecar.spans.url_parameters import read_url_parameters
from sidecar.tracing.steps import step

_log: Final = logging.getLogger("sidecar.search")

_SETTING: Final = "index.search.default_pipeline"
_NO_PIPELINE: Final = "_none"

WAIT_S: Final = 0.02
"""For how many seconds a search waits for the answer. OpenSearch reads the setting from its memory
and answers in 1 to 4 ms."""

_ANSWER_S: Final = 60.0
_ANSWER_AGAIN_S: Final = 30.0
_REFUSAL_S: Final = 600.0
"""For how many seconds an answer is used, from when it is fetched again, and for how long nobody
asks again without a usable answer."""

_GIVE_UP_S: Final = 2.0

_REFUSALS: Final = 3
"""For how many index lists a caller is refused before no others are asked about."""

_ANSWERS: Final = 4096
"""Maximum number of answers, of about a kilobyte each at most."""

_AT_ONCE: Final = 32
"""Maximum number of questions on their way; searches beyond go on without an answer."""

_ANSWER_BYTES: Final = 1 << 20
_READ_ON_THE_LOOP: Final = 32 << 10
"""Bytes of settings that are read in less than half a millisecond."""

_LONGEST_NAME: Final = 513  # one character more than a name in `upstream.pipelines` may have

_Kind = Literal["none", "pipeline", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a GET of `target` with the client's head. `key` is a digest of it and of the
    caller, `caller` that of the caller alone."""

    key: bytes
    caller: bytes
    head: RequestHead
    target: bytes


@dataclass(frozen=True, slots=True)
class DefaultPipeline:
    """The default pipeline's name; None if there is none, or if nobody can say.

    `pending` is the question if there is no answer yet.
    """

    name: str | None = None
    pending: Question | None = None


NO_DEFAULT: Final = DefaultPipeline()


@dataclass(frozen=True, slots=True)
class _Answer:
    name: str | None
    answered: bool
    """Whether OpenSearch has said so."""

    again: float
    until: float


@dataclass(slots=True)
class _Refusals:
    """How many index lists a caller was refused for, until when."""

    count: int
    until: float


@dataclass(frozen=True, slots=True)
class _Asking:
    started: float
    """By the event loop's clock."""

    task: asyncio.Task[None]


class DefaultPipelines:
    """The default pipelines that OpenSearch has told, in bounded memory.

    Belongs to one event loop. `clock` is monotonic, in seconds; answers expire by it. A search
    waits for `wait_s` seconds at most.
    """

    def __init__(
        self,
        callers: Callers,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        wait_s: float = WAIT_S,
    ) -> None:
        self._callers = callers
        self._counts = metrics.default_pipelines
        self._clock = clock
        self._wait_s = wait_s
        self._answers = BoundedCache[bytes, _Answer](_ANSWERS)
        self._refusals = BoundedCache[bytes, _Refusals](_ANSWERS)
        self._asking: dict[bytes, _Asking] = {}

    def question(self, head: RequestHead, caller: bytes) -> Question | None:
        """The question about a `_search` with this head, by the caller with this digest.

        None if there is nothing to ask: no index list, or one that is too long.
        """
        names = head.target.partition(b"?")[0].strip(b"/").rpartition(b"/")[0]
        if not names:
            return None
        pieces = [b"flat_settings=true"]
        for parameter in read_url_parameters(head.target):
            if parameter.name in INDEX_OPTIONS:
                value = head.target[parameter.start : parameter.end]
                pieces.append(parameter.name.encode() + b"=" + value)
        target = b"/%s/_settings/%s?%s" % (names, _SETTING.encode(), b"&".join(pieces))
        if len(target) > REQUEST_LINE_BYTES - len(b"GET  HTTP/1.1\r\n"):
            return None
        return Question(self._callers.digest((caller, target)), caller, head, target)

    async def find(self, question: Question, upstream: Exchanger) -> DefaultPipeline:
        """The default pipeline; asks OpenSearch if that is necessary. Never raises."""
        now = self._clock()
        answer = self._answers.get(question.key)
        if answer is not None and now < answer.until:
            if now >= answer.again:
                self._start(question, upstream)
            return DefaultPipeline(answer.name)
        if self._is_refused(question.caller, answer, now):
            return NO_DEFAULT
        asking = self._start(question, upstream)
        if asking is not None:
            left = asking.started + self._wait_s - asyncio.get_running_loop().time()
            if left > 0:
                with step("default_pipeline"):
                    await asyncio.wait((asking.task,), timeout=left)
        return self.look_up(question)

    def look_up(self, question: Question) -> DefaultPipeline:
        """The answer that is there now; asks nobody."""
        answer = self._answers.get(question.key)
        if answer is None or answer.until <= self._clock():
            return DefaultPipeline(pending=question)
        return DefaultPipeline(answer.name)

    async def close(self) -> None:
        """Give up all questions that are on their way."""
        tasks = [asking.task for asking in self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_refused(self, caller: bytes, former: _Answer | None, now: float) -> bool:
        """Whether a caller is refused so often that an index list without an answer is not asked
        about."""
        refusals = self._refusals.get(caller)
        if refusals is None or refusals.count < _REFUSALS or refusals.until <= now:
            return False
        return former is None or not former.answered

    def _start(self, question: Question, upstream: Exchanger) -> _Asking | None:
        """The question on its way; None if there are too many."""
        asking = self._asking.get(question.key)
        if asking is None and len(self._asking) < _AT_ONCE:
            loop = asyncio.get_running_loop()
            # In a context of its own: the exchange is no step of the search, which it may outlive.
            task = loop.create_task(self._ask(question, upstream), context=Context())
            asking = self._asking[question.key] = _Asking(loop.time(), task)
            task.add_done_callback(lambda _: self._asking.pop(question.key, None))
        return asking

    async def _ask(self, question: Question, upstream: Exchanger) -> None:
        message = question.head.write_with_body(
            b"", method=b"GET", target=question.target, drop=ABOUT_THE_BODY
        )
        kind: _Kind = "failed"
        name, seconds = None, _REFUSAL_S
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                response = await upstream.exchange(*message, limit=_ANSWER_BYTES)
                status = response.head.status
                if status in (401, 403):
                    kind = "refused"
                elif status in (200, 404):
                    # 404: an index does not exist, and then OpenSearch uses no pipeline.
                    name = await _read_answer(response) if status == 200 else None
                    kind, seconds = "pipeline" if name else "none", _ANSWER_S
                elif status == 429 or status >= 500:
                    seconds = _ANSWER_S
        except (UpstreamUnavailable, OutOfDescriptors):
            seconds = 0.0  # nothing was sent
        except (UpstreamBroken, Busy):
            seconds = _ANSWER_S
        except (UpstreamError, TimeoutError, _Unreadable):
            pass
        except Exception:
            _log.exception("the question for a default search pipeline failed; it is a bug")
        self._counts.labels(kind).inc()
        self._keep(question, kind, name, seconds)

    def _keep(self, question: Question, kind: _Kind, name: str | None, seconds: float) -> None:
        now = self._clock()
        former = self._answers.get(question.key)
        answered = kind in ("none", "pipeline")
        if kind == "failed" and former is not None and former.answered:
            # What OpenSearch has said last is more likely than no pipeline.
            name, answered = former.name, True
        if kind == "refused":
            self._note_refusal(question.caller, now)
        again = now + (_ANSWER_AGAIN_S if kind in ("none", "pipeline") else seconds)
        if seconds:
            self._answers.put(question.key, _Answer(name, answered, again, now + seconds))

    def _note_refusal(self, caller: bytes, now: float) -> None:
        refusals = self._refusals.get(caller)
        if refusals is None or refusals.until <= now:
            self._refusals.put(caller, _Refusals(1, now + _REFUSAL_S))
            _log.info(
                "an account may not read the settings of the indexes that it searches; default "
                "search pipelines of its searches are not seen"
            )
        else:
            refusals.count += 1


class _Unreadable(Exception):
    """The answer is not one of OpenSearch's settings API."""


async def _read_answer(response: Response) -> str | None:
    """The name of the default pipeline in an answer. Raises _Unreadable or Busy."""
    content = response.body
    return await off_loop(len(content), lambda: _read_name(content), _READ_ON_THE_LOOP, NEW)


def _read_name(content: bytes) -> str | None:
    try:
        names = {one["settings"][_SETTING] for one in json.loads(content).values()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _Unreadable from None
    # An index that was created with `null` has it still. Where this or `_none` is beside a name,
    # OpenSearch's choice depends on the order of the indexes, so the name counts.
    names -= {None, _NO_PIPELINE}
    if not all(isinstance(name, str) for name in names):
        raise _Unreadable
    return names.pop()[:_LONGEST_NAME] if len(names) == 1 else None
