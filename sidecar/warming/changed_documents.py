"""Reads only the documents that were written since an index was last read as a whole.

Each shard numbers its writes. The marks of a run say up to which number each shard had every write
when the run began; the next run reads what has a higher one. A document that is written while a
page is read gets a higher number, so no point in time is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sidecar.warming.index_reading import PAGE, DocumentPage, IndexReading, read_hits

Marks = Mapping[str, Mapping[str, int]]
"""By the UUID of an index, the mark of each of its shards."""


class MarksFile:
    """The marks of the last run; `identity` contains what decides which vectors it computes."""

    def __init__(self, folder: Path, identity: str) -> None:
        digest = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
        self._path = folder / f"{digest}.marks"

    def read(self) -> Marks:
        """The marks; none without a file, or with one that a full disk has cut off."""
        try:
            marks = json.loads(self._path.read_text())
            return {str(uuid): {**map_shards(shards)} for uuid, shards in marks.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def write(self, marks: Marks) -> None:
        unfinished = self._path.with_suffix(".unfinished-marks")
        with unfinished.open("w") as file:
            json.dump(marks, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path)


def map_shards(shards: Mapping[str, Any]) -> Mapping[str, int]:
    """The numbers of an index's shards. Raises TypeError or AttributeError for another value."""
    return {str(shard): int(number) for shard, number in shards.items()}


class ChangedDocuments:
    """The documents above the marks, in pages, as `IndexReading` has them. Every call blocks."""

    def __init__(self, reading: IndexReading, marks: Marks) -> None:
        self._reading = reading
        self.new_marks: dict[str, dict[str, int]] = {}
        """What the next run may leave out once all pages of this one are stored."""
        # Index, shard and the next number of each shard that has something new.
        self._left: list[tuple[str, str, int]] = []
        self.count = 0
        """At most how many documents there are: a document may have been written several times."""
        for index in reading.shards():
            self.new_marks[index.uuid] = dict(index.numbers)
            for shard, highest in index.numbers.items():
                last = marks.get(index.uuid, {}).get(shard, -1)
                if highest > last:
                    self._left.append((index.name, shard, last + 1))
                    self.count += highest - last

    def read_page(self, number: int, size: int = PAGE) -> DocumentPage:
        """The next documents; `number` counts the pages, which are read in order."""
        while self._left:
            index, shard, first = self._left[0]
            hits = self._reading.read_shard(index, shard, first, size)
            if len(hits) < size:
                del self._left[0]
            else:
                self._left[0] = (index, shard, int(hits[-1]["sort"][0]) + 1)
            if hits:
                return DocumentPage(read_hits(hits), number + 1 if self._left else None)
        return DocumentPage(_NO_HITS, None)


_NO_HITS: Sequence[Any] = ()
