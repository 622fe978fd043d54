"""Answers from tables: which row, which cell, what is shown, and when a sentence is better."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import ModelFailed
from pipelines.scoring import Scorer
from sidecar.kendra.answering.answers import DocumentAnswer, find_answers
from sidecar.kendra.answering.ranking import Ranking, ScoredPassage
from sidecar.kendra.answering.table_answers import find_table_answers
from sidecar.kendra.answering.table_excerpts import SHOWN_COLUMNS, SHOWN_ROWS, TableExcerpt
from sidecar.kendra.indexes.found_documents import DocumentSet, FoundDocument
from sidecar.kendra.tables.text_tables import KnownTables
from tests.sidecar.kendra.answering.test_ranking import served

PEAKS = """Peaks by their height.

| Mountain | Height | Country | Climbed | Range | Prominence |
|---|---|---|---|---|---|
| Everest | 8849 | Nepal | 1953 | Mahalangur | 8849 |
| K2 | 8611 | Pakistan | 1954 | Baltoro | 4020 |
| Lhotse | 8516 | China | 1956 | Mahalangur | 610 |
| Makalu | 8485 | Nepal | 1955 | Mahalangur | 2378 |
"""


class Reader(Scorer):
    """Gives a text the best score of the words in it, and records the texts that it reads."""

    def __init__(self, **scores: float | None) -> None:
        self.scores = scores
        self.texts: list[str] = []

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        self.texts += texts
        scores_of_texts = [
            [score for word, score in self.scores.items() if word in text] for text in texts
        ]
        return [
            None if None in scores else max((s for s in scores if s is not None), default=-9.0)
            for scores in scores_of_texts
        ]


class Failing(Reader):
    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        raise ModelFailed("out of memory")


def document(number: int, body: str, title: str = "") -> FoundDocument:
    return FoundDocument(number, str(number), title, body, "", (), {}, True)


def answers(
    query_text: str, reader: Reader, *bodies: str, passage: str = "", probability: float = 0.2
) -> list[DocumentAnswer]:
    documents = tuple(document(number, body) for number, body in enumerate(bodies))
    passages: dict[int, tuple[ScoredPassage, ...]] = {
        each.number: (ScoredPassage(passage or each.body[:20], probability, probability),)
        for each in documents
    }
    ranking = Ranking(tuple(passages), dict.fromkeys(passages, 1.0), passages)
    document_set = DocumentSet(documents, (), (), sum(map(len, bodies)), "docs")
    return asyncio.run(
        find_answers(served(), query_text, document_set, ranking, reader, KnownTables(), True)
    )


def values(excerpt: TableExcerpt | None) -> list[list[str]]:
    assert excerpt is not None
    return [[cell.text for cell in row] for row in excerpt.rows]


def best(answer: DocumentAnswer) -> str:
    assert answer.table is not None
    row, column = answer.table.best
    cell = answer.table.rows[row][column].text
    assert answer.text[answer.start : answer.end] == cell
    return cell


def test_the_best_rows_in_their_order_with_the_columns_that_matter() -> None:
    reader = Reader(Lhotse=3.0, Everest=1.0, Height=2.0)
    [answer] = answers("what is the Height of Lhotse and its Prominence", reader, PEAKS)
    assert values(answer.table) == [
        ["Mountain", "Height", "Country", "Climbed", "Prominence"],
        ["Everest", "8849", "Nepal", "1953", "8849"],
        ["Lhotse", "8516", "China", "1956", "610"],
    ]
    assert answer.table is not None
    assert answer.table.total == 5
    assert [cell.header for cell in answer.table.rows[0]] == [True] * 5
    assert not any(cell.header for row in answer.table.rows[1:] for cell in row)
    assert answer.probability == pytest.approx(0.9526, abs=1e-4)


def test_the_model_reads_a_row_with_the_names_of_its_columns() -> None:
    reader = Reader()
    table = "<table><caption>Fees</caption><tr><th>Card<th>Yearly<tr><td>Gold<td>50</table>"
    body = document(0, f"Some words. {table}", title="Our cards")
    ranking = Ranking((0,), {0: 1.0}, {0: (ScoredPassage("Some words.", 0.1, 0.1),)})
    assert not asyncio.run(
        find_table_answers(served(), "fees", [body], ranking, reader, KnownTables(), {})
    )
    assert reader.texts == ["Our cards Fees Card Gold Yearly 50"]


def test_the_cell_asked_for_is_none_that_the_query_states() -> None:
    likes_names = {"K2": 3.0, "Mountain K2": 9.0, "Height 8611": 5.0}
    [answer] = answers("how high is K2", Reader(**likes_names), PEAKS)
    assert best(answer) == "8611"
    [answer] = answers("which peak is 8611 high", Reader(**likes_names), PEAKS)
    assert best(answer) == "K2"


def test_a_query_that_states_every_cell_gets_the_models_favourite() -> None:
    body = "Item | Price\n-|-\nTea | two\nRum | nine"
    [answer] = answers("two Tea", Reader(Tea=3.0, Price=4.0), body)
    assert best(answer) == "two"


def test_a_table_without_names_shows_three_rows_of_data() -> None:
    body = f"<table>{''.join(f'<tr><td>key{n}<td>value{n}' for n in range(6))}</table>"
    [answer] = answers("about key4", Reader(key4=3.0, key0=2.0, key5=1.0), body)
    assert values(answer.table) == [[f"key{n}", f"value{n}"] for n in (0, 4, 5)]
    assert best(answer) == "value4"
    assert answer.text == "key0\tvalue0\nkey4\tvalue4\nkey5\tvalue5"


def test_documents_of_the_same_text_have_an_answer_each() -> None:
    chosen = answers("how high is K2", Reader(K2=3.0), PEAKS, PEAKS)
    assert [each.document.id for each in chosen] == ["0", "1"]
    for answer in chosen:
        shown = values(answer.table)
        assert len(shown) == 3
        assert shown[1] != shown[2]


def test_rows_below_medium_are_no_answer() -> None:
    assert not answers("K2", Reader(K2=-0.5), PEAKS)
    assert answers("K2", Reader(K2=-0.4), PEAKS)


def test_the_likelier_of_sentence_and_row_answers() -> None:
    sentence = "Peaks by their height."
    reader = Reader(K2=1.0, height=0.5)
    [answer] = answers("K2", reader, PEAKS, passage=sentence, probability=0.9)
    assert answer.table is None
    assert answer.text[answer.start : answer.end] == sentence
    [answer] = answers("K2", reader, PEAKS, passage=sentence, probability=0.7)
    assert answer.table is not None
    assert answer.probability == pytest.approx(0.7311, abs=1e-4)


K2 = "| K2 | 8611 | Pakistan | 1954 | Baltoro | 4020 |"


@pytest.mark.parametrize(
    ("passage", "probability"), [(K2, 0.8), (f"Peaks by their height.\n\n{PEAKS[24:]}", 0.9)]
)
def test_where_the_answering_sentence_is_a_row_the_table_answers(
    passage: str, probability: float
) -> None:
    reader = Reader(K2=-2.0)
    [answer] = answers("K2", reader, PEAKS, passage=passage, probability=probability)
    assert answer.probability == probability
    assert ["K2", "8611", "Pakistan", "1954", "Baltoro"] in values(answer.table)


def test_three_answers_at_most_and_the_likeliest_first() -> None:
    tables = [f"A list.\n\nName | Value\n-|-\nitem{n} | {n}" for n in range(4)]
    reader = Reader(item0=1.0, item1=2.0, item2=-2.0, item3=3.0)
    chosen = answers("item", reader, *tables, passage="A list.", probability=0.78)
    assert [each.document.id for each in chosen] == ["3", "1", "0"]
    assert [each.table is None for each in chosen] == [False, False, True]


def test_the_model_reads_some_tens_of_rows_at_most() -> None:
    rows = "\n".join(f"item{n} | {'x' * n} | y | z" for n in range(200))
    body = f"Name | a | b | c\n-|-|-|-\n{rows}"
    reader = Reader(item150=2.0)
    chosen = answers("where is item150", reader, *[body] * 9)
    assert [values(each.table)[-1][0] for each in chosen] == ["item150"] * 3
    assert len([text for text in reader.texts if text.startswith("Name ")]) == 30
    assert len(reader.texts) < 60


def test_paragraphs_in_a_table_are_no_rows() -> None:
    prose = "word " * 250
    assert not answers("word", Reader(word=9.0), f"<table><tr><td>menu<td>{prose}</table>")


@pytest.mark.parametrize("reader", [Failing(), Reader(K2=None)])
def test_without_the_models_time_sentences_answer_as_before(reader: Reader) -> None:
    [answer] = answers("K2", reader, PEAKS, passage="Peaks by their height.", probability=0.5)
    assert answer.table is None


class LateForCells(Reader):
    """Has time for the rows, which all begin with the first column's name."""

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        scores = await super().score(model, query_text, texts)
        return [s if "Mountain" in text else None for s, text in zip(scores, texts, strict=True)]


def test_without_the_models_time_for_cells_shared_words_choose() -> None:
    [answer] = answers("K2 and its Country", LateForCells(K2=3.0), PEAKS)
    assert best(answer) == "Pakistan"


_CELL = st.sampled_from(["", "alpha", "beta", "gamma 7", "the"])
_TABLE = st.lists(st.lists(_CELL, min_size=1, max_size=9), min_size=1, max_size=6)


@given(_TABLE, st.sampled_from(["alpha", "the", "gamma of beta", "7"]), st.booleans())
def test_excerpts_of_any_table_keep_their_limits(
    rows: list[list[str]], query_text: str, named: bool
) -> None:
    opened = [
        "<tr>" + "".join(f"<{'th' if named and not n else 'td'}>{cell}" for cell in row)
        for n, row in enumerate(rows)
    ]
    body = f"<table>{''.join(opened)}</table>"
    for answer in answers(query_text, Reader(alpha=1.0, beta=2.0, gamma=3.0), body):
        excerpt = answer.table
        if excerpt is None:
            continue
        assert 1 <= len(excerpt.rows) <= SHOWN_ROWS
        [width] = {len(row) for row in excerpt.rows}
        assert 1 <= width <= SHOWN_COLUMNS
        assert excerpt.total == len(rows)
        assert best(answer)
        assert {cell.text for row in excerpt.rows for cell in row} <= {"", *sum(rows, [])}
