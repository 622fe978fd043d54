"""The record of one request's steps: a tree with names, times and a few facts.

The current step is in a context variable, so a task that a step starts records its own steps below
it, and code far down, such as a model's schedule, needs no further argument. If no request is
recorded, a step costs one look into that variable.

Measured: a step costs about 1 us, and a rescored search has about ten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar, Token
from time import monotonic, time_ns
from types import TracebackType
from typing import Final, Self

MOST_CHILDREN: Final = 250
"""Steps that are recorded below one step. Others are done all the same."""

Fact = str | int | float | bool | bytes


class Step:
    """One step; a context manager that takes the time.

    `start` and `end` are seconds of the monotonic clock. `facts` may have texts of the client, so
    a consumer takes only the facts that it knows. `error` is the name of the exception that ended
    the step.
    """

    __slots__ = ("_token", "children", "end", "error", "facts", "name", "start")

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = 0.0
        self.end: float | None = None
        self.error: str | None = None
        self.facts: dict[str, Fact] = {}
        self.children: list[Step] = []
        self._token: Token[Step | None] | None = None

    def __enter__(self) -> Self:
        parent = _current.get()
        if parent is not None and len(parent.children) < MOST_CHILDREN:
            parent.children.append(self)
        self._token = _current.set(self)
        self.start = monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end = monotonic()
        if kind is not None:
            self.error = kind.__name__
        if self._token is not None:
            _current.reset(self._token)
            self._token = None

    def note(self, fact: str, value: Fact) -> None:
        """Keep a fact about the step."""
        self.facts[fact] = value

    @property
    def seconds(self) -> float:
        """How long the step took, or has taken so far."""
        return (monotonic() if self.end is None else self.end) - self.start


class RequestSteps(Step):
    """The root of a request's steps; `started_at` is in nanoseconds since 1970."""

    __slots__ = ("started_at",)

    def __enter__(self) -> Self:
        # A request is no step of the one whose task started it.
        self._token = _current.set(self)
        self.start = monotonic()
        self.started_at = time_ns()
        return self

    def wall_time(self, moment: float) -> int:
        """A moment of the monotonic clock, in nanoseconds since 1970."""
        return self.started_at + int((moment - self.start) * 1e9)

    def seconds_by_name(self) -> dict[str, float]:
        """The finished steps' seconds, added up for each name; steps may lie within others."""
        seconds: dict[str, float] = {}
        for step in self.finished():
            assert step.end is not None
            seconds[step.name] = seconds.get(step.name, 0.0) + step.end - step.start
        return seconds

    def finished(self) -> Iterator[Step]:
        """All finished steps below the root, each before the steps below it."""
        waiting = self.children[::-1]
        while waiting:
            step = waiting.pop()
            if step.end is not None:
                yield step
            waiting += reversed(step.children)


class _Unrecorded(Step):
    """Stands for every step of a request that nobody records."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def note(self, fact: str, value: Fact) -> None:
        """Keeps nothing."""


_UNRECORDED: Final = _Unrecorded("unrecorded")
_current: Final[ContextVar[Step | None]] = ContextVar("step", default=None)


def current_step() -> Step | None:
    """The innermost step that this task is in; None if its request is not recorded."""
    return _current.get()


def step(name: str) -> Step:
    """A step below the current one, for a `with` statement."""
    return _UNRECORDED if _current.get() is None else Step(name)


def note(fact: str, value: Fact) -> None:
    """Keep a fact about the current step."""
    current = _current.get()
    if current is not None:
        current.facts[fact] = value


def record_step(
    parent: Step | None, name: str, start: float, end: float, error: str | None = None
) -> Step:
    """Add a finished step below `parent`, which may be None: then nobody records it."""
    if parent is None or len(parent.children) >= MOST_CHILDREN:
        return _UNRECORDED
    done = Step(name)
    done.start, done.end, done.error = start, end, error
    parent.children.append(done)
    return done
