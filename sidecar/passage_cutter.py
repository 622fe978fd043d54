"""Cuts documents into passages, and keeps the passages in memory for further searches.

Cutting takes about 0.2 ms of pure computing for a document of 200 words, and many searches return
the same documents. The passages depend only on a document's texts and a plan's settings, so these
are the key. Python remembers the hash of a text, so a text that the caller has kept is not read
again.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from pipelines.documents import Document, Part
from pipelines.errors import DeadlinePassed, NoText, Overloaded
from pipelines.hits import Hit
from pipelines.passage_methods import PassageMethod
from pipelines.passages import SplitDocument, split_document
from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages, choose_passages
from sidecar.halves_cache import HalvesCache

_Key = tuple[str, str, tuple[Part, ...], str, str | None]

# How much the event loop does itself: about 0.5 ms each of cutting, looking up and collecting.
_CUT_CHARACTERS = 4096
_CHARACTERS = 400_000
_PASSAGES = 500
_NEWEST_SHARE = 0.2
# Of the time that a search has left. A window of 100 documents takes a tenth of the shipped
# deadline, and more where several searches have such windows at once.
_TIME_SHARE = 0.3

# Memory of a key, its place in the cache, and the tuples around a document and its passages.
_DOCUMENT_BYTES = 400
_PASSAGE_BYTES = 400


class WindowCutter(Protocol):
    """Chooses the passages of a window; `PassageCutter` is the implementation."""

    async def choose_passages(
        self,
        plan: Plan,
        query_text: str,
        hits: Sequence[Hit],
        deadline: float | None = None,
        *,
        partly: bool = False,
    ) -> ChosenPassages:
        """See `PassageCutter`."""
        ...


class PassageCutter:
    """Cuts documents, and keeps the passages of the most recently used ones in bounded memory.

    `split` and `choose_passages` do what `pipelines` does, with this memory. Large windows are cut
    in one separate thread, one after the other. Cutting is pure computing, so more threads would
    only take turns with the event loop.
    """

    def __init__(self, max_bytes: int) -> None:
        self._cache = HalvesCache[_Key, SplitDocument](max_bytes)
        self._thread = ThreadPoolExecutor(1, "passages")
        # Only for the event loop: how many windows wait or are being cut, and the average time.
        self._waiting = 0
        self._window_seconds = 0.0

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def held_bytes(self) -> int:
        """About how many bytes of memory are in use; never more than the bound."""
        return self._cache.size

    def split(
        self, document: Document, method: PassageMethod, language: str | None = None
    ) -> SplitDocument:
        """`pipelines.passages.split_document`, from memory if possible."""
        key = _key(document, method.cutting, language)
        passages = self.find(key)
        return self.cut(key, document, method, language) if passages is None else passages

    async def choose_passages(
        self,
        plan: Plan,
        query_text: str,
        hits: Sequence[Hit],
        deadline: float | None = None,
        *,
        partly: bool = False,
    ) -> ChosenPassages:
        """`pipelines.rescore.choose_passages`, on the event loop only if it takes well under 1 ms.

        Raises what that function raises, and DeadlinePassed at `deadline` (seconds of the monotonic
        clock); documents that are cut by then stay in memory. Raises Overloaded at once if the
        waiting windows will take longer than that.

        With `partly`, cutting gets a part of the time until `deadline`, since the models need the
        rest. It begins with the first hits; documents that are neither cut by then nor in memory
        have no passages, and are counted in `uncut`.
        """
        try:
            return choose_passages(plan, query_text, hits, _OnTheLoop(self).split)
        except _TooMuch:
            pass
        wait = self._waiting * self._window_seconds
        if deadline is not None and wait and time.monotonic() + wait >= deadline:
            raise Overloaded(f"cutting is {wait * 1000:.0f} ms behind, beyond the deadline")
        until = None
        if partly and deadline is not None:
            now = time.monotonic()
            until = now + _TIME_SHARE * max(0.0, deadline - now)
        in_thread = _InTheThread(self, deadline, until)
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                chosen, seconds = await loop.run_in_executor(
                    self._thread, in_thread.choose_passages, plan, query_text, hits
                )
        except TimeoutError:
            raise DeadlinePassed("the passages were not cut in time") from None
        finally:
            in_thread.abandoned = True
            self._waiting -= 1
        share = _NEWEST_SHARE if self._window_seconds else 1.0
        self._window_seconds += share * (seconds - self._window_seconds)
        return chosen

    def close(self) -> None:
        """Stop the thread after its current window. Blocks."""
        self._thread.shutdown(cancel_futures=True)

    def find(self, key: _Key) -> SplitDocument | None:
        """The passages in memory for the key of a document and a method."""
        return self._cache.get(key)

    def cut(
        self, key: _Key, document: Document, method: PassageMethod, language: str | None
    ) -> SplitDocument:
        """Cut a document that is not in memory, and store it there."""
        passages = split_document(document, method, language)
        self._cache.put(key, passages, _size(document, passages))
        return passages


class _TooMuch(Exception):
    """The window is too large for the event loop."""


class _OnTheLoop:
    """Cuts for about half a millisecond, then raises _TooMuch."""

    def __init__(self, passage_cutter: PassageCutter) -> None:
        self._passage_cutter = passage_cutter
        self._find = passage_cutter.find
        self._to_cut = _CUT_CHARACTERS
        self._characters = _CHARACTERS
        self._passages = _PASSAGES
        self._method: PassageMethod | None = None
        self._cutting = ""

    def split(
        self, document: Document, method: PassageMethod, language: str | None = None
    ) -> SplitDocument:
        _, title, body, _, _, apart = document
        size = len(title) + len(body)
        self._characters -= size
        if self._characters < 0:
            raise _TooMuch
        if method is not self._method:
            self._method, self._cutting = method, method.cutting
        key = (title, body, apart, self._cutting, language)
        passages = self._find(key)
        if passages is None:
            self._to_cut -= size
            if self._to_cut < 0:
                raise _TooMuch
            passages = self._passage_cutter.cut(key, document, method, language)
        self._passages -= len(passages)
        if self._passages < 0:
            raise _TooMuch
        return passages


class _InTheThread:
    """Cuts until the deadline, or until the result is no longer needed.

    After `until`, it takes only what is in memory; None to cut all.
    """

    def __init__(
        self, passage_cutter: PassageCutter, deadline: float | None, until: float | None
    ) -> None:
        self._passage_cutter = passage_cutter
        self._deadline = deadline
        self._until = until
        self._uncut = 0
        self.abandoned = False

    def choose_passages(
        self, plan: Plan, query_text: str, hits: Sequence[Hit]
    ) -> tuple[ChosenPassages, float]:
        """`pipelines.rescore.choose_passages`, and the seconds it took."""
        started = time.monotonic()
        try:
            chosen = choose_passages(plan, query_text, hits, self.split)
        except NoText:
            if self._uncut:
                raise DeadlinePassed("no passages were cut in time") from None
            raise
        if self._uncut:
            chosen = replace(chosen, uncut=self._uncut)
        return chosen, time.monotonic() - started

    def split(
        self, document: Document, method: PassageMethod, language: str | None = None
    ) -> SplitDocument:
        now = time.monotonic()
        if self.abandoned or (self._deadline is not None and now >= self._deadline):
            raise DeadlinePassed("the passages were not cut in time")
        if self._until is None or now < self._until:
            return self._passage_cutter.split(document, method, language)
        passages = self._passage_cutter.find(_key(document, method.cutting, language))
        if passages is None:
            self._uncut += 1
            return ()
        return passages


def _key(document: Document, cutting: str, language: str | None) -> _Key:
    return document.title, document.body, document.apart, cutting, language


def _size(document: Document, passages: SplitDocument) -> int:
    return (
        _DOCUMENT_BYTES
        + sum(map(sys.getsizeof, (document.title, document.body)))
        + sum(sys.getsizeof(part.text) for part in document.apart)
        + sum(
            _PASSAGE_BYTES
            + sys.getsizeof(one.text)
            + (0 if one.body is one.text else sys.getsizeof(one.body))
            + one.words.nbytes
            for one in passages
        )
        + (passages[0].title_words.nbytes if passages else 0)
    )
