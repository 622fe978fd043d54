"""What the analyzers of the fields make of words: asked of OpenSearch once, and kept.

The words of a language are soon known, so a request that finds all of them costs nothing. Where
OpenSearch does not say, as for an account that may not ask, words are compared in lower case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from sidecar.kendra.highlights import (
    Term,
    Terms,
    find_run,
    guess_terms,
    read_analyze,
    write_analyze,
)

Analyze = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any] | None]]
"""Sends the body of an `_analyze` of one index; None when there is no answer to use."""

_RUNS_KEPT = 50_000
# An `_analyze` may give 10,000 tokens at most (`index.analyze.max_token_count`).
_RUNS_AT_ONCE = 2000
# Excerpts of a hundred words, of which so many take half a millisecond.
_TEXTS_AT_ONCE = 10


class WordTerms:
    """The terms of one index's words, by field. Belongs to one event loop."""

    def __init__(self, kept: int = _RUNS_KEPT) -> None:
        self._kept = kept
        self._known: dict[str, dict[str, tuple[Term, ...]]] = {}

    async def learn(self, field: str, texts: Iterable[str], analyze: Analyze) -> Terms:
        """The terms of every piece of the texts, as the field's analyzer gives them.

        Runs that are not known yet are asked for, 2,000 at a time. Never raises for what
        OpenSearch answers.
        """
        runs: dict[str, tuple[int, str]] = {}
        for number, text in enumerate(texts, start=1):
            runs.update((piece, find_run(piece)) for piece in set(text.split()) - runs.keys())
            if number % _TEXTS_AT_ONCE == 0:
                await asyncio.sleep(0)
        known = self._known.setdefault(field, {})
        unknown = sorted({run for _, run in runs.values() if run and run not in known})
        guessed: dict[str, tuple[Term, ...]] = {}
        for first in range(0, len(unknown), _RUNS_AT_ONCE):
            asked = unknown[first : first + _RUNS_AT_ONCE]
            answer = await analyze(write_analyze(field, asked))
            learnt = None if answer is None else _read(answer, asked)
            if learnt is None:
                guessed = guess_terms(unknown[first:])
                break
            known |= learnt
        terms = {
            piece: _shift(known[run] if run in known else guessed.get(run, ()), start)
            for piece, (start, run) in runs.items()
        }
        while len(known) > self._kept:
            # The oldest first: a dict keeps the order of insertion.
            del known[next(iter(known))]
        return terms


def _shift(terms: tuple[Term, ...], start: int) -> tuple[Term, ...]:
    if not start:
        return terms
    return tuple(Term(t.text, t.start + start, t.end + start, t.synonym) for t in terms)


def _read(answer: Mapping[str, Any], runs: list[str]) -> dict[str, tuple[Term, ...]] | None:
    try:
        return read_analyze(answer, runs)
    except (KeyError, TypeError):
        return None
