"""Further passages of long documents: which are read, how many, and what happens without time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest

from sidecar.kendra.answering.further_passages import MOST_TEXTS, read_further
from sidecar.kendra.answering.ranking import Ranking, RequestModels, rank_documents
from sidecar.kendra.indexes.served_index import ServedIndex
from sidecar.passage_cutter import PassageCutter
from tests.sidecar.kendra.answering.test_ranking import Failing, Scorer, document_set, served


class Reader(Scorer):
    """Scores a text by the number in it, and records what it has read, call by call."""

    def __init__(self, most: int | None = None) -> None:
        """`most`: texts that it reaches in each call; all if None."""
        super().__init__()
        self.most = most
        self.calls: list[list[str]] = []

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        self.calls.append(list(texts))
        scores: list[float | None] = [int(text.split()[-1].strip(".")) / 1000 for text in texts]
        reached = len(texts) if self.most is None else self.most
        return scores[:reached] + [None] * (len(texts) - reached)


@pytest.fixture
def cutter() -> Iterator[PassageCutter]:
    passage_cutter = PassageCutter(1 << 20)
    yield passage_cutter
    passage_cutter.close()


def body(first: int, count: int) -> str:
    """A text of this number of passages."""
    return " ".join(f"One two three four five six {n}." for n in range(first, first + count))


def rank(
    index: ServedIndex, bodies: Sequence[str], reader: Reader, cutter: PassageCutter
) -> Ranking:
    models = RequestModels(reader, time.monotonic() + 60)
    return asyncio.run(rank_documents(index, "one", document_set(*bodies), models, cutter))


def read(
    index: ServedIndex,
    bodies: Sequence[str],
    ranking: Ranking,
    scorer: Scorer,
    cutter: PassageCutter,
) -> Ranking:
    models = RequestModels(scorer, time.monotonic() + 60)
    return asyncio.run(read_further(index, "one", document_set(*bodies), ranking, models, cutter))


def test_all_passages_of_a_long_document_are_read_once(cutter: PassageCutter) -> None:
    bodies, reader = [body(100, 2), body(200, 20)], Reader()
    ranking = rank(served(), bodies, reader, cutter)
    assert [len(ranking.passages[number]) for number in (0, 1)] == [2, 3]
    further = read(served(), bodies, ranking, reader, cutter)
    assert (further.order, further.values) == (ranking.order, ranking.values)
    assert len(further.passages[0]) == 2
    assert [each.text.split()[-1] for each in further.passages[1]] == [
        f"{number}." for number in range(219, 199, -1)
    ]
    texts = [text for call in reader.calls for text in call]
    assert len(texts) == len(set(texts)) == 22


def test_the_configured_number_is_kept(cutter: PassageCutter) -> None:
    bodies, reader = [body(100, 20)], Reader()
    for most, expected in ((8, 8), (3, 3), (1, 3)):
        index = served(passages_per_document=most)
        ranking = rank(index, bodies, reader, cutter)
        further = read(index, bodies, ranking, reader, cutter)
        assert len(further.passages[0]) == expected


def test_the_first_documents_are_read_first_and_reading_is_bounded(cutter: PassageCutter) -> None:
    bodies = [body(100, 150), body(500, 150), body(300, 150)]
    index, reader = served(passages_per_document=1000), Reader()
    ranking = rank(index, bodies, reader, cutter)
    assert ranking.order == (1, 2, 0)
    further = read(index, bodies, ranking, reader, cutter)
    assert len(reader.calls[-1]) == MOST_TEXTS
    assert [len(further.passages[number]) for number in (1, 2, 0)] == [150, 150, 3 + 6]


def test_without_time_or_model_what_was_read_remains(cutter: PassageCutter) -> None:
    bodies, reader = [body(100, 20)], Reader()
    ranking = rank(served(), bodies, reader, cutter)
    assert len(read(served(), bodies, ranking, Reader(most=4), cutter).passages[0]) == 3 + 4
    assert read(served(), bodies, ranking, Failing(), cutter).passages == ranking.passages
    late = Ranking(ranking.order, ranking.values, ranking.passages, "deadline", ranking.models)
    assert read(served(), bodies, late, reader, cutter) is late
    unread = Ranking((0,), reason="starting")
    assert read(served(), bodies, unread, reader, cutter) is unread
