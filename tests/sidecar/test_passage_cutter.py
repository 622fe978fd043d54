"""Which documents are cut once, which are removed from memory, and where cutting runs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from pydantic import TypeAdapter

from pipelines.documents import Document, Part
from pipelines.errors import DeadlinePassed, NoText, Overloaded
from pipelines.hits import Hit
from pipelines.passage_methods import Passages
from pipelines.passages import SplitDocument, split_document
from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages, choose_passages
from pipelines.sentence_passages import SentencePassages
from sidecar.passage_cutter import PassageCutter, _InTheThread

PLAN = Plan.model_validate({"document": {"title": "t", "body": "b"}, "stages": [{"model": "m"}]})
SETTINGS = SentencePassages()
QUERY = "number 7"


def body(number: int, words: int = 300) -> str:
    sentence = f"Sentence {number} is about the number {number % 9} and its friends. "
    return sentence * (words // 11)


def hits(count: int, words: int = 300) -> list[Hit]:
    return [Hit(n, 9.0, {"t": f"Title {n}", "b": body(n, words)}) for n in range(count)]


@pytest.fixture
def passage_cutter() -> Iterator[PassageCutter]:
    cutter = PassageCutter(1 << 20)
    yield cutter
    cutter.close()


def texts(split: SplitDocument) -> list[str]:
    return [one.text for one in split]


def test_a_document_is_cut_once(passage_cutter: PassageCutter) -> None:
    document = Document(0, "Title", body(1), 9.0, None)
    cut = passage_cutter.split(document, SETTINGS)
    assert texts(cut) == texts(split_document(document, SETTINGS))
    assert passage_cutter.split(document._replace(position=4, original_score=1.0), SETTINGS) is cut
    assert len(passage_cutter) == 1


@pytest.mark.parametrize(
    ("title", "body", "settings"),
    [
        ("a b", "c d. e", {}),
        ("a", "b c d. e", {}),
        ("a b", "c d. f", {}),
        ("a b", "c d. e", {"method": "kendra"}),
        ("a b", "c d. e", {"words": 9}),
        ("a b", "c d. e", {"overlap": 0}),
        ("a \ud800", "c d. e", {}),
        ("a ?", "c d. e", {}),
    ],
)
def test_what_decides_the_passages_is_told_apart(
    passage_cutter: PassageCutter, title: str, body: str, settings: dict[str, object]
) -> None:
    first_cut = passage_cutter.split(Document(0, "a b", "c d. e", 1.0, None), SETTINGS)
    second_cut = passage_cutter.split(
        Document(0, title, body, 1.0, None), TypeAdapter(Passages).validate_python(settings)
    )
    same = (title, body, settings) == ("a b", "c d. e", {})
    assert (second_cut is first_cut) is same


def test_fields_that_are_read_apart_decide_too(passage_cutter: PassageCutter) -> None:
    plain = Document(0, "a", "b", 1.0, None)
    parts = [(), (Part("b", 1.0, True),), (Part("b", 1.0, False),), (Part("b", 2.0, True),)]
    splits = [passage_cutter.split(plain._replace(apart=apart), SETTINGS) for apart in parts]
    assert len(passage_cutter) == len(parts)
    assert passage_cutter.split(plain._replace(apart=parts[3]), SETTINGS) is splits[3]


def test_memory_is_bounded_and_the_least_recently_used_go_first() -> None:
    passage_cutter = PassageCutter(60_000)
    one = Document(0, "one", body(1), 1.0, None)
    first = passage_cutter.split(one, SETTINGS)
    for number in range(100):
        passage_cutter.split(Document(0, f"n {number}", body(number), 1.0, None), SETTINGS)
        assert passage_cutter.split(one, SETTINGS) is first
        assert passage_cutter.held_bytes <= 60_000
    assert 3 < len(passage_cutter) < 50
    passage_cutter.split(Document(0, "huge", body(1, 30_000), 1.0, None), SETTINGS)
    assert passage_cutter.split(one, SETTINGS) is first, (
        "what is larger than all memory is not kept"
    )
    passage_cutter.close()


def told(chosen: ChosenPassages) -> object:
    """The content of a window; arrays become lists, which can be compared."""
    passages = [
        [p._replace(words=p.words.tolist(), title_words=p.title_words.tolist()) for p in group]
        for group in chosen.passages
    ]
    return chosen.groups, passages, chosen.evidence


@pytest.mark.parametrize("count", [1, 4, 60])
async def test_a_window_is_prepared_as_the_core_does_it(
    passage_cutter: PassageCutter, count: int
) -> None:
    expected = told(choose_passages(PLAN, QUERY, hits(count)))
    assert told(await passage_cutter.choose_passages(PLAN, QUERY, hits(count))) == expected
    assert told(await passage_cutter.choose_passages(PLAN, QUERY, hits(count))) == expected


async def test_a_known_window_needs_no_thread(passage_cutter: PassageCutter) -> None:
    await passage_cutter.choose_passages(PLAN, QUERY, hits(30))
    passage_cutter.close()
    await passage_cutter.choose_passages(PLAN, "another query", hits(30))
    with pytest.raises(RuntimeError):
        await passage_cutter.choose_passages(PLAN, QUERY, hits(60))


async def test_errors_of_the_core_come_through(passage_cutter: PassageCutter) -> None:
    with pytest.raises(NoText):
        await passage_cutter.choose_passages(PLAN, QUERY, [])


async def test_the_deadline_ends_the_cutting_and_what_was_cut_is_kept() -> None:
    passage_cutter = PassageCutter(1 << 26)
    window = hits(6000)
    with pytest.raises(DeadlinePassed):
        await passage_cutter.choose_passages(PLAN, QUERY, window, time.monotonic() + 0.3)
    passage_cutter.close()
    assert 0 < len(passage_cutter) < len(window)


async def test_a_search_goes_on_with_what_was_cut_in_its_share_of_the_time() -> None:
    passage_cutter = PassageCutter(1 << 26)
    window = hits(6000)
    last = window[-1]
    await passage_cutter.choose_passages(PLAN, QUERY, [last])
    started = time.monotonic()
    chosen = await passage_cutter.choose_passages(PLAN, QUERY, window, started + 1, partly=True)
    took = time.monotonic() - started
    passage_cutter.close()
    assert took < 1
    cut = [bool(passages) for passages in chosen.passages]
    assert cut[0]
    assert cut[-1], "what is in memory is used"
    assert cut.count(False) == chosen.uncut > 0
    assert cut.index(False) == len(cut) - 1 - chosen.uncut, "the first hits are cut first"


async def test_a_search_that_got_nothing_cut_is_too_late(passage_cutter: PassageCutter) -> None:
    in_thread = _InTheThread(passage_cutter, None, until=0.0)
    with pytest.raises(DeadlinePassed):
        in_thread.choose_passages(PLAN, QUERY, hits(60))


async def test_a_window_that_is_cut_in_time_is_whole(passage_cutter: PassageCutter) -> None:
    deadline = time.monotonic() + 600
    chosen = await passage_cutter.choose_passages(PLAN, QUERY, hits(60), deadline, partly=True)
    assert not chosen.uncut
    assert all(chosen.passages)


async def test_what_cannot_be_cut_in_time_is_refused_at_once(passage_cutter: PassageCutter) -> None:
    await passage_cutter.choose_passages(
        PLAN, QUERY, hits(300, 600)
    )  # so it is known how long a window takes
    async with asyncio.TaskGroup() as tasks:
        for number in range(1, 9):
            texts = [body(100 * number + n, 3000) for n in range(30)]
            window = [Hit(n, 9.0, {"b": text}) for n, text in enumerate(texts)]
            tasks.create_task(passage_cutter.choose_passages(PLAN, QUERY, window))
        await asyncio.sleep(0)  # each takes its first step, into the line
        with pytest.raises(Overloaded):
            await passage_cutter.choose_passages(
                PLAN, QUERY, hits(400, 700), time.monotonic() + 0.02
            )


def test_two_threads_keep_the_count_of_bytes() -> None:
    passage_cutter = PassageCutter(30_000)

    def split() -> None:
        for number in range(200):
            passage_cutter.split(Document(0, "", body(number % 20), 1.0, None), SETTINGS)

    threads = [threading.Thread(target=split) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < passage_cutter.held_bytes <= 30_000
    before, count = passage_cutter.held_bytes, len(passage_cutter)
    last = Document(0, "", body(19), 1.0, None)
    passage_cutter.split(last, SETTINGS)
    assert (passage_cutter.held_bytes, len(passage_cutter)) == (before, count)
    passage_cutter.close()
