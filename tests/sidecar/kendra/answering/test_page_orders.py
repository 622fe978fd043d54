"""Orders of questions: what further pages get, whatever the models and the index do meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.errors import DeadlinePassed, ModelFailed
from pipelines.scoring import Scorer
from sidecar.kendra.answering.page_orders import PageOrder, PageOrders
from sidecar.kendra.answering.ranking import Ranking, ScoredPassage, keep_original_order
from sidecar.kendra.indexes.found_documents import DocumentSet, FoundDocument


class Given(Scorer):
    """Gives the scores of a table; raises if there is none. `calls` are the texts of each call."""

    def __init__(self, scores: dict[str, float | None] | None) -> None:
        self.scores = scores
        self.calls: list[list[str]] = []

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        self.calls.append(list(texts))
        if self.scores is None:
            raise ModelFailed("out of memory")
        return [self.scores[text] for text in texts]


def documents(names: Sequence[str]) -> DocumentSet:
    found = [FoundDocument(n, name, "", name, "", (), {}, True) for n, name in enumerate(names)]
    return DocumentSet(tuple(found), (), tuple(range(len(found))), 0, None)


def ranked(order: Sequence[int], read: Sequence[int]) -> Ranking:
    """A ranking of which these documents are read."""
    passage = ScoredPassage("text", 0.5, 0.5)
    return Ranking(
        tuple(order),
        {number: float(-place) for place, number in enumerate(order) if number in read},
        dict.fromkeys(read, (passage,)),
        unread=frozenset(order) - frozenset(read),
    )


def labels(names: Sequence[str]) -> list[str]:
    """Each id with the number of times that it came before, as documents are told apart."""
    return [f"{name}{names[:place].count(name)}" for place, name in enumerate(names)]


def names(ranking: Ranking, document_set: DocumentSet) -> list[str]:
    own = labels([document.id for document in document_set.documents])
    return [own[number] for number in ranking.order]


async def test_the_first_answer_for_a_text_stands() -> None:
    orders = PageOrders(60, 1 << 20)
    order = await orders.open(b"q", 0, 1.0)
    first = order.scorer(Given({"a": 1.0, "b": None, "c": 3.0}))
    assert await first.score("m", "query", ["a", "b", "c", "a"]) == [1.0, None, 3.0, 1.0]
    order.settle(ranked([0], [0]), documents(["d"]))
    orders.keep(b"q", order)

    warm = Given({"a": 9.0, "b": 9.0, "new": 4.0})
    again = (await orders.open(b"q", 10, 2.0)).scorer(warm)
    assert await again.score("m", "query", ["a", "b", "new"]) == [1.0, None, 4.0]
    assert warm.calls == [["new"]]
    with pytest.raises(DeadlinePassed):
        await again.score("m", "query", ["b"])
    # Another model, or another text of the query, is another question to the model.
    assert await again.score("other", "query", ["a"]) == [9.0]
    assert await again.score("m", "other", ["a"]) == [9.0]


async def test_texts_that_a_model_failed_on_stay_unread() -> None:
    order = PageOrder(1.0)
    with pytest.raises(ModelFailed):
        await order.scorer(Given(None)).score("m", "q", ["a", "b"])
    with pytest.raises(DeadlinePassed):
        await order.scorer(Given({"a": 1.0, "b": 1.0})).score("m", "q", ["a", "b"])
    assert await order.scorer(Given({"c": 1.0})).score("m", "q", ["a", "c"]) == [None, 1.0]
    assert await order.scorer(Given(None)).score("m", "q", ["c", "d"]) == [1.0, None]


NAMES = st.lists(st.sampled_from("abcdefgh"), max_size=10)
"""Ids of documents; an alias may have the same id in several indexes."""


@given(before=NAMES, after=NAMES, chance=st.randoms(use_true_random=False))
@example(before=list("aaac"), after=list("aac"), chance=Random(1))
async def test_further_pages_have_the_documents_of_the_first_in_its_order(
    before: list[str], after: list[str], chance: object
) -> None:
    shuffle, some = chance.shuffle, chance.random  # type: ignore[attr-defined]
    orders = PageOrders(60, 1 << 20)

    async def settle(start: int, names_now: list[str]) -> tuple[list[str], Ranking]:
        document_set = documents(names_now)
        order = list(range(len(names_now)))
        shuffle(order)
        page = await orders.open(b"q", start, 1.0)
        read = [number for number in order if some() < 0.5]
        ranking = page.settle(ranked(order, read), document_set)
        orders.keep(b"q", page)
        assert sorted(ranking.order) == list(range(len(names_now)))
        assert ranking.passages.keys() <= ranking.values.keys()
        # Each document has a confidence, or counts as unread.
        assert ranking.passages.keys() | ranking.unread == set(ranking.order)
        assert not ranking.passages.keys() & ranking.unread
        return names(ranking, document_set), ranking

    first, ranking = await settle(0, before)
    assert (await settle(10, before))[0] == first
    second, _ = await settle(10, after)
    left = labels(after)
    stayed = []
    for name in first:
        if name in left:
            left.remove(name)
            stayed.append(name)
    assert second[: len(stayed)] == stayed
    assert (await settle(20, after))[0] == second


async def test_an_order_without_models_or_after_a_failure_stays_opensearchs() -> None:
    orders = PageOrders(60, 1 << 20)
    found = documents(["a", "b"])
    page = await orders.open(b"q", 0, 1.0)
    page.models = False
    page.settle(keep_original_order(found, "starting"), found)
    orders.keep(b"q", page)
    further = await orders.open(b"q", 10, 9.0)
    assert (further.models, further.failed, further.time) == (False, "starting", 1.0)
    first = await orders.open(b"q", 0, 9.0)
    assert (first.models, first.failed, first.time) == (True, None, 9.0)
    assert (await orders.open(b"q", 10, 9.0)).cached is None


async def test_orders_are_bounded() -> None:
    orders = PageOrders(60, 10_000)
    found = documents([f"{n}" for n in range(100)])
    for number in range(20):
        page = await orders.open(b"%d" % number, 0, 1.0)
        page.settle(keep_original_order(found, "deadline"), found)
        orders.keep(b"%d" % number, page)
    kept = [n for n in range(20) if (await orders.open(b"%d" % n, 10, 1.0)).cached is not None]
    assert kept == [16, 17, 18, 19]
