"""Documents that were cut into passages before, so that a search does not cut them again.

Cutting takes some 0.2 ms of pure computing for a document of 200 words, and the same documents
come back in one search after the other. What is kept depends on a document's text and a plan's
settings alone, and is known by a digest of both.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipelines.documents import Document
from pipelines.errors import DeadlinePassed, Overloaded
from pipelines.hits import Hit
from pipelines.passages import SplitDocument, split_document
from pipelines.plan import Passages, Plan
from pipelines.rescore import Prepared, prepare

# What the event loop may be held for: about 0.5 ms of cutting, of looking up or of gathering.
_CUT_CHARACTERS = 4096
_CHARACTERS = 400_000
_PASSAGES = 500
_NEWEST_SHARE = 0.2

# A key, its place in the dictionary, and the tuples around a document and each of its passages.
_DOCUMENT_BYTES = 300
_PASSAGE_BYTES = 400


class SplitDocuments:
    """The documents cut last, in bounded memory; the least recently used ones go first.

    `split` and `prepare` are what `pipelines` has under the same names, with a memory. Large
    windows are prepared in one thread of their own, one after the other: cutting is pure
    computing, and more threads would only take turns with the event loop.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, SplitDocument] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "passages")
        # Touched by the event loop alone: windows in line or in hand, and what one took so far.
        self._waiting = 0
        self._window_seconds = 0.0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def held_bytes(self) -> int:
        """About how many bytes are kept; never more than the bound."""
        return self._bytes

    def split(self, document: Document, settings: Passages) -> SplitDocument:
        """`pipelines.passages.split_document`, from memory where it was done before."""
        key = _key(document, settings)
        found = self.find(key)
        return self.cut(key, document, settings) if found is None else found

    async def prepare(
        self, plan: Plan, query_text: str, hits: Sequence[Hit], deadline: float | None = None
    ) -> Prepared:
        """`pipelines.rescore.prepare`, on the event loop only where it takes well under 1 ms.

        Raises what that raises, and DeadlinePassed at `deadline` (seconds of the monotonic
        clock); what was cut by then is kept. Raises Overloaded at once when the windows in line
        take longer than that.
        """
        try:
            return prepare(plan, query_text, hits, _OnTheLoop(self).split)
        except _TooMuch:
            pass
        wait = self._waiting * self._window_seconds
        if deadline is not None and wait and time.monotonic() + wait >= deadline:
            raise Overloaded(f"cutting is {wait * 1000:.0f} ms behind, beyond the deadline")
        in_thread = _InTheThread(self, deadline)
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                prepared, seconds = await loop.run_in_executor(
                    self._thread, in_thread.prepare, plan, query_text, hits
                )
        except TimeoutError:
            raise DeadlinePassed("the passages were not cut in time") from None
        finally:
            in_thread.left = True
            self._waiting -= 1
        share = _NEWEST_SHARE if self._window_seconds else 1.0
        self._window_seconds += share * (seconds - self._window_seconds)
        return prepared

    def close(self) -> None:
        """End the thread once what it does is done. Blocks."""
        self._thread.shutdown(cancel_futures=True)

    def find(self, key: bytes) -> SplitDocument | None:
        """What is kept under the key of a document and its settings."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        return found

    def cut(self, key: bytes, document: Document, settings: Passages) -> SplitDocument:
        """Split a document that is not kept, and keep it."""
        found = split_document(document, settings)
        size = _size(found)
        if size > self._max_bytes:
            return found
        with self._lock:
            if key not in self._kept:
                self._kept[key] = found
                self._bytes += size
                while self._bytes > self._max_bytes:
                    self._bytes -= _size(self._kept.popitem(last=False)[1])
        return found


class _TooMuch(Exception):
    """This window is for the thread."""


class _OnTheLoop:
    """Splits until it has taken about half a millisecond."""

    def __init__(self, documents: SplitDocuments) -> None:
        self._documents = documents
        self._to_cut = _CUT_CHARACTERS
        self._characters = _CHARACTERS
        self._passages = _PASSAGES

    def split(self, document: Document, settings: Passages) -> SplitDocument:
        size = len(document.title) + len(document.body)
        self._characters -= size
        if self._characters < 0:
            raise _TooMuch
        key = _key(document, settings)
        found = self._documents.find(key)
        if found is None:
            self._to_cut -= size
            if self._to_cut < 0:
                raise _TooMuch
            found = self._documents.cut(key, document, settings)
        self._passages -= len(found)
        if self._passages < 0:
            raise _TooMuch
        return found


class _InTheThread:
    """Splits until the deadline, or until nobody waits any more."""

    def __init__(self, documents: SplitDocuments, deadline: float | None) -> None:
        self._documents = documents
        self._deadline = deadline
        self.left = False

    def prepare(self, plan: Plan, query_text: str, hits: Sequence[Hit]) -> tuple[Prepared, float]:
        """`pipelines.rescore.prepare`, and the seconds it took."""
        started = time.monotonic()
        return prepare(plan, query_text, hits, self.split), time.monotonic() - started

    def split(self, document: Document, settings: Passages) -> SplitDocument:
        if self.left or (self._deadline is not None and time.monotonic() >= self._deadline):
            raise DeadlinePassed("the passages were not cut in time")
        return self._documents.split(document, settings)


def _key(document: Document, settings: Passages) -> bytes:
    head = f"{settings.method} {settings.tokens} {settings.overlap} {len(document.title)} "
    apart = "".join(
        f" {part.weight} {part.titled} {len(part.text)} {part.text}" for part in document.apart
    )
    text = head + document.title + f"{len(document.body)} " + document.body + apart
    # `surrogatepass`: texts that only clean to the same are still told apart.
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _size(found: SplitDocument) -> int:
    return (
        _DOCUMENT_BYTES
        + sum(
            _PASSAGE_BYTES
            + sys.getsizeof(one.text)
            + (0 if one.body is one.text else sys.getsizeof(one.body))
            + one.words.nbytes
            for one in found
        )
        + (found[0].title_words.nbytes if found else 0)
    )
