"""The terms that the analyzers of fields make of words, cached so that OpenSearch is asked once.

After some requests most words are in the cache. A request whose words are all in the cache sends
nothing. If OpenSearch gives no terms, for example because the account lacks the permission, words
are compared in lower case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from sidecar.kendra.answering.highlights import (
    Term,
    Terms,
    find_run,
    guess_terms,
    read_analyze,
    write_analyze,
)

Analyze = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any] | None]]
"""Sends an `_analyze` request for one index; gives None if there is no usable answer."""

_MOST_RUNS = 50_000
# An answer to `_analyze` has at most 10,000 tokens (`index.analyze.max_token_count`).
_RUNS_AT_ONCE = 2000
# Reading this number of excerpts of 100 words takes half a millisecond.
_TEXTS_AT_ONCE = 10


class WordTerms:
    """A cache of the terms of words in one index, by field. Belongs to one event loop."""

    def __init__(self, most: int = _MOST_RUNS) -> None:
        """`most`: runs in the cache for each field."""
        self._most = most
        self._cache: dict[str, dict[str, tuple[Term, ...]]] = {}

    async def learn(self, field: str, texts: Iterable[str], analyze: Analyze) -> Terms:
        """The terms of every piece of the texts, by the field's analyzer.

        Runs that are not in the cache are sent to OpenSearch, at most 2,000 in one request. No
        answer of OpenSearch makes this raise.
        """
        runs: dict[str, tuple[int, str]] = {}
        for number, text in enumerate(texts, start=1):
            runs.update((piece, find_run(piece)) for piece in set(text.split()) - runs.keys())
            if number % _TEXTS_AT_ONCE == 0:
                await asyncio.sleep(0)
        cache = self._cache.setdefault(field, {})
        unknown = sorted({run for _, run in runs.values() if run and run not in cache})
        guesses: dict[str, tuple[Term, ...]] = {}
        for first in range(0, len(unknown), _RUNS_AT_ONCE):
            batch = unknown[first : first + _RUNS_AT_ONCE]
            answer = await analyze(write_analyze(field, batch))
            terms_of_batch = None if answer is None else _read(answer, batch)
            if terms_of_batch is None:
                guesses = guess_terms(unknown[first:])
                break
            cache |= terms_of_batch
        terms = {
            piece: _shift(cache[run] if run in cache else guesses.get(run, ()), start)
            for piece, (start, run) in runs.items()
        }
        while len(cache) > self._most:
            # The oldest entry goes first: a dict keeps the order of insertion.
            del cache[next(iter(cache))]
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
