"""Answers from tables with boto3: their shape, by the fake model, and what real weights find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_aws.retrievers import AmazonKendraRetriever
from opensearchpy import OpenSearch, helpers

from tests.kendra.replies import additional, ids, items, slices
from tests.kendra.serving import PAPERS, Kendra, serving_kendra
from tests.kendra.wire import post
from tests.nodes.node import Node
from tests.service_models import check_reply, service_model
from tests.weights import minilm_settings

INDEX = "tables"

PEAKS = """<h1>Peaks</h1><p>Fourteen mountains rise above the clouds.</p>
<table>
  <caption>The highest peaks</caption>
  <tr><th>Mountain</th><th>Height (m)</th><th>Country</th><th>First climbed</th></tr>
  <tr><td>Mount Everest</td><td>8,849</td><td>Nepal &amp; China</td><td>1953</td></tr>
  <tr><td>K2</td><td>8,611</td><td>Pakistan &amp; China</td><td>1954</td></tr>
  <tr><td>Lhotse</td><td>8,516</td><td>Nepal &amp; China</td><td>1956</td></tr>
  <tr><td>Makalu</td><td><b>8</b>,485</td><td>Nepal &amp; China</td><td>1955</td></tr>
</table>"""
EXPENSES = """Everybody who travels for us is paid what travelling costs.

| Country | Daily allowance | Hotel limit | Approval by | Currency | Tax |
|---|---:|---:|---|---|---|
| Germany | 28 | 120 | Team lead | EUR | no |
| Japan | 9,000 | 22,000 | Director | JPY | no |
| United States | 74 | 250 | Director | USD | yes |

Receipts go to the accounting office within four weeks."""
DOCUMENTS = {
    "peaks": ("Mountains", PEAKS),
    "expenses": ("Travel policy", EXPENSES),
    "kettle": ("Kettles", "A copper kettle boils water quickly. A steel kettle is slower."),
    "pipes": ("Shells", "A shell joins programs by pipes: ls | sort | uniq. <b>Nothing</b> else."),
}
SETTINGS: dict[str, Any] = {
    "index": INDEX,
    "plan": "words",
    "fields": {"title": "heading", "body": "content"},
    # The fake model's scores, 0 to 1, come out as 0.5 to 0.73.
    "confidence": {"very_high": 0.69, "high": 0.6, "medium": 0.55},
}


@pytest.fixture(scope="module")
def tables(opensearch_3: Node) -> Iterator[Node]:
    client = OpenSearch(opensearch_3.url)
    text = {"type": "text", "analyzer": "markup"}
    analyzer = {
        "tokenizer": "standard",
        "char_filter": ["html_strip"],
        "filter": ["lowercase", "porter_stem"],
    }
    body = {
        "settings": {"analysis": {"analyzer": {"markup": analyzer}}},
        "mappings": {"properties": {"heading": text, "content": text}},
    }
    client.indices.delete(index=INDEX, ignore_unavailable=True)
    client.indices.create(index=INDEX, body=body)
    actions = [
        {"_index": INDEX, "_id": name, "heading": title, "content": body}
        for name, (title, body) in DOCUMENTS.items()
    ]
    helpers.bulk(client, actions, refresh=True)
    yield opensearch_3
    client.indices.delete(index=INDEX)
    client.close()


@pytest.fixture(scope="module")
def served(tables: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kendra]:
    folder = tmp_path_factory.mktemp("tables")
    with serving_kendra(folder, tables.url, {PAPERS: SETTINGS}) as kendra:
        yield kendra


def answer(served: Kendra, text: str) -> dict[str, Any]:
    found = items(served.client.query(IndexId=PAPERS, QueryText=text), "ANSWER")
    assert found, text
    return found[0]


def rows(item: dict[str, Any]) -> list[list[str]]:
    return [[cell["Value"] for cell in row["Cells"]] for row in item["TableExcerpt"]["Rows"]]


def marked(item: dict[str, Any], how: str) -> list[str]:
    cells = [cell for row in item["TableExcerpt"]["Rows"] for cell in row["Cells"]]
    assert all(set(cell) == {"Value", "TopAnswer", "Highlighted", "Header"} for cell in cells)
    return [cell["Value"] for cell in cells if cell[how]]


def test_a_table_answer_has_every_member(served: Kendra) -> None:
    item = answer(served, "makalu height country")
    assert set(item) == {
        *("Id", "Type", "Format", "AdditionalAttributes", "DocumentId", "DocumentTitle"),
        *("DocumentExcerpt", "DocumentURI", "DocumentAttributes", "ScoreAttributes"),
        *("FeedbackToken", "TableExcerpt"),
    }
    assert (item["Format"], item["DocumentId"]) == ("TABLE", "peaks")
    shown = rows(item)
    assert len(shown) == 3
    assert shown[0] == ["Mountain", "Height (m)", "Country", "First climbed"]
    assert shown[-1] == ["Makalu", "8,485", "Nepal & China", "1955"]
    assert item["TableExcerpt"]["TotalNumberOfRows"] == 5
    assert marked(item, "Header") == shown[0]


def test_a_table_answer_is_as_the_model_has_it(served: Kendra) -> None:
    reply = post(served, "Query", QueryText="makalu height country")
    model = service_model("kendra").operation_model("Query").output_shape
    seen = check_reply(model, reply.members, {"DocumentURI"})
    table = "ResultItems.TableExcerpt"
    cell = (
        f"{table}.Rows.Cells.{name}" for name in ("Value", "TopAnswer", "Highlighted", "Header")
    )
    assert seen >= {*cell, f"{table}.TotalNumberOfRows"}


def test_rows_are_there_as_text_too(served: Kendra) -> None:
    item = answer(served, "japan hotel limit")
    [(key, text)] = additional(item).items()
    assert key == "AnswerText"
    assert text["Text"].splitlines()[-1].split("\t") == rows(item)[-1]
    assert slices(text) == marked(item, "Highlighted") == ["22,000"]
    assert item["DocumentExcerpt"]["Text"] == text["Text"][:300]
    assert slices(item["DocumentExcerpt"]) == [item["DocumentExcerpt"]["Text"]]


def test_five_columns_are_shown_those_that_the_query_asks_about_among_them(served: Kendra) -> None:
    assert rows(answer(served, "japan hotel limit tax"))[0] == [
        *("Country", "Daily allowance", "Hotel limit", "Approval by", "Tax")
    ]


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("japan hotel limit director", "VERY_HIGH"),
        ("japan hotel limit please sir", "HIGH"),
        ("japan hotel with weary dogs", "MEDIUM"),
    ],
)
def test_what_is_marked_depends_on_the_confidence(
    served: Kendra, text: str, confidence: str
) -> None:
    item = answer(served, text)
    assert item["Format"] == "TABLE"
    assert item["ScoreAttributes"]["ScoreConfidence"] == confidence
    top, high = confidence == "VERY_HIGH", confidence != "MEDIUM"
    assert len(marked(item, "Highlighted")) == high
    assert marked(item, "TopAnswer") == (marked(item, "Highlighted") if top else [])
    [text_of] = additional(item).values()
    assert [highlight["TopAnswer"] for highlight in text_of["Highlights"]] == [top]


def test_one_answer_a_document_and_its_document_remains(served: Kendra) -> None:
    reply = served.client.query(IndexId=PAPERS, QueryText="japan hotel limit travels")
    assert ids(reply, "ANSWER").count("expenses") == 1
    assert ids(reply).count("expenses") == 1
    assert all(item["Format"] == "TEXT" and "TableExcerpt" not in item for item in items(reply))
    kind = {"QueryResultTypeFilter": "ANSWER"}
    alone = served.client.query(IndexId=PAPERS, QueryText="japan hotel limit travels", **kind)
    assert alone["TotalNumberOfResults"] == len(alone["ResultItems"])
    assert ids(alone, "ANSWER") == ids(reply, "ANSWER")


def test_the_excerpt_of_a_document_with_markup_is_as_it_stands(served: Kendra) -> None:
    reply = served.client.query(IndexId=PAPERS, QueryText="makalu td height")
    [item] = [each for each in items(reply) if each["DocumentId"] == "peaks"]
    assert item["DocumentExcerpt"]["Text"] in PEAKS
    assert slices(item["DocumentExcerpt"]) == ["Height", "Makalu"]


@pytest.mark.parametrize("text", ["copper kettle boils", "shell joins programs by pipes"])
def test_documents_without_a_table_answer_with_a_sentence(served: Kendra, text: str) -> None:
    item = answer(served, text)
    assert item["Format"] == "TEXT"
    assert "TableExcerpt" not in item


class QueryOnly:
    """A client for which Retrieve finds nothing, so that LangChain's retriever asks Query."""

    def __init__(self, client: Any) -> None:
        self.query = client.query

    def retrieve(self, **_members: Any) -> dict[str, Any]:
        return {"QueryId": "none", "ResultItems": []}


def test_langchains_retriever_reads_the_rows(served: Kendra) -> None:
    retriever = AmazonKendraRetriever(
        index_id=PAPERS,
        client=QueryOnly(served.client),
        top_k=5,
        min_score_confidence=0.5,
    )
    first, *_ = retriever.invoke("japan hotel limit")
    assert first.metadata["type"] == "ANSWER"
    assert first.metadata["document_id"] == "expenses"
    assert first.page_content.startswith("Document Title: Travel policy\nDocument Excerpt: \n")
    assert "Japan 9,000 22,000 Director" in first.page_content


@pytest.fixture(scope="module")
def weights(tables: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kendra]:
    model = minilm_settings()
    folder = tmp_path_factory.mktemp("table-weights")
    # These tests ask which of row and sentence answers, not how sure one has to be.
    settings = {**SETTINGS, "confidence": {"cosine": {"middle": 0.4}}}
    with serving_kendra(folder, tables.url, {PAPERS: settings}, model=model) as kendra:
        yield kendra


@pytest.mark.model
@pytest.mark.parametrize(
    ("text", "document", "row", "cell"),
    [
        ("how high is K2", "peaks", "K2", "8,611"),
        ("when was Makalu first climbed", "peaks", "Makalu", "1955"),
        ("what is the hotel limit in Japan", "expenses", "Japan", "22,000"),
        ("who has to approve travel to Germany", "expenses", "Germany", "Team lead"),
    ],
)
def test_real_weights_answer_with_the_cell(
    weights: Kendra, text: str, document: str, row: str, cell: str
) -> None:
    item = answer(weights, text)
    assert (item["Format"], item["DocumentId"]) == ("TABLE", document)
    assert row in [shown[0] for shown in rows(item)]
    [answered] = additional(item).values()
    assert slices(answered) == [cell]


@pytest.mark.model
def test_real_weights_prefer_a_sentence_that_says_more(weights: Kendra) -> None:
    item = answer(weights, "where do I send receipts of my travels")
    assert (item["Format"], item["DocumentId"]) == ("TEXT", "expenses")
    assert "Receipts go to the accounting office" in "".join(
        slice_ for text in additional(item).values() for slice_ in slices(text)
    )
