"""Documents as real indexes have them: passages, milliseconds, gaps, odd addresses, synonyms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.kendra.replies import additional, attributes, condition, facet, ids, items, slices
from tests.kendra.rows import ask
from tests.kendra.serving import Kendra, serving_kendra
from tests.nodes.node import Node

NAME = "kendra-values"
EACH, WHOLE, ENGLISH = (f"{number}1111111-2222-4333-8444-555555555555" for number in (5, 6, 7))
"""The index with each passage a document, with passages of whole ones, and with other options."""

SECOND = datetime(2020, 1, 1, tzinfo=UTC)
TEXT = {"type": "text", "analyzer": "kettles"}
SETTINGS = {
    "number_of_shards": 1,
    "number_of_replicas": 0,
    "analysis": {
        "filter": {"alike": {"type": "synonym", "synonyms": ["pot, kettle"]}},
        "analyzer": {
            "kettles": {"tokenizer": "standard", "filter": ["lowercase", "alike"]},
        },
    },
}
KEYWORD = {"type": "keyword"}
MAPPING = {
    "properties": {
        "title": TEXT,
        "body": TEXT,
        **dict.fromkeys(("parent", "kind", "address", "spare", "language"), KEYWORD),
        "writers": {"type": "text", "fields": {"exact": KEYWORD}},
        "page": {"type": "integer"},
        "created": {"type": "date"},
        "changed": {"type": "date_nanos"},
    }
}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "manual-1": {
        "title": "Manual",
        "body": "The copper kettle boils water quickly.",
        "parent": "manual",
        "kind": "book",
        "page": 1,
        "address": "https://papers.example/manual",
        "writers": ["Zoe", "Ada", "Zoe", "Bob"],
        "created": "2020-01-01T00:00:00.100Z",
        "changed": "2020-01-01T00:00:00.123456789Z",
        "language": "en",
    },
    "manual-2": {
        "title": "Manual",
        "body": "A kettle whistles when steam escapes.",
        "parent": "manual",
        "kind": "book",
        "page": 2,
        "address": "https://papers.example/manual",
        "created": "2020-01-01T00:00:00.900Z",
        "changed": "2020-01-01T00:00:00.500Z",
        "language": "en",
    },
    "leaflet": {
        "body": "Your pot boils over.",
        "parent": "leaflet",
        "kind": "sheet",
        "page": 1,
        "address": "javascript:alert(1)",
        "created": "2020-01-01T00:00:01.500Z",
        "spare": ["", "left"],
    },
    "note": {
        "title": "",
        "body": "Der kettle steht.",
        "parent": "note",
        "kind": "book",
        "spare": "",
        "language": "de",
    },
}
INDEX: dict[str, Any] = {
    "index": NAME,
    "plan": "words",
    "fields": {"title": "title", "body": "body", "uri": "address"},
    "attributes": {
        "_created_at": {"type": "DATE", "field": "created", "facetable": True},
        "_last_updated_at": {"type": "DATE", "field": "changed", "facetable": True},
        "_excerpt_page_number": {"type": "LONG", "field": "page"},
        "_language_code": {"type": "STRING", "field": "language", "displayable": False},
        "_source_uri": {"type": "STRING", "field": "address"},
        "Kind": {"type": "STRING", "field": "kind", "facetable": True, "sortable": True},
        "Spare": {"type": "STRING_LIST", "field": "spare", "facetable": True},
        "Writers": {"type": "STRING_LIST", "field": "writers.exact"},
    },
}
INDEXES = {
    EACH: INDEX,
    WHOLE: {**INDEX, "fields": {**INDEX["fields"], "document_id": "parent", "shared_id": True}},
    ENGLISH: {
        **INDEX,
        "filter_language": True,
        "collapsed_total": False,
        "max_query_characters": 1001,
    },
}


@pytest.fixture(scope="module")
def served(opensearch: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kendra]:
    ask(opensearch, "PUT", f"/{NAME}", {"settings": SETTINGS, "mappings": MAPPING})
    for name, document in DOCUMENTS.items():
        ask(opensearch, "PUT", f"/{NAME}/_doc/{name}", document)
    ask(opensearch, "POST", f"/{NAME}/_refresh")
    plan: dict[str, Any] = {"document": {"title": "title", "body": "body"}}
    folder = tmp_path_factory.mktemp("values")
    with serving_kendra(folder, opensearch.url, INDEXES, **plan) as running:
        yield running
    ask(opensearch, "DELETE", f"/{NAME}")


def query(served: Kendra, index: str = EACH, text: str = "kettle", **members: Any) -> Any:
    """A Query for documents, unless it says another kind."""
    return served.client.query(
        **{"IndexId": index, "QueryText": text, "QueryResultTypeFilter": "DOCUMENT", **members}
    )


def item(reply: Any, name: str) -> dict[str, Any]:
    [found] = [each for each in items(reply) if each["DocumentId"] == name]
    return found


def test_facets_count_dates_by_the_second(served: Kendra) -> None:
    reply = query(served, Facets=[{"DocumentAttributeKey": "_created_at"}])
    later = SECOND.replace(second=1)
    assert list(facet(reply, "_created_at").items()) == [(SECOND, 2), (later, 1)]


def test_dates_of_nanoseconds_are_dates(served: Kendra) -> None:
    key, moment = "_last_updated_at", {"DateValue": SECOND}
    for operator, expected in (("EqualsTo", 2), ("GreaterThan", 0), ("GreaterThanOrEquals", 2)):
        filter_ = condition(operator, key, moment)
        assert query(served, AttributeFilter=filter_)["TotalNumberOfResults"] == expected
    reply = query(
        served,
        RequestedDocumentAttributes=[key],
        Facets=[{"DocumentAttributeKey": key}],
        SortingConfiguration={"DocumentAttributeKey": key, "SortOrder": "DESC"},
    )
    assert facet(reply, key) == {SECOND: 2}
    assert ids(reply)[:2] == ["manual-2", "manual-1"]
    assert [attributes(each).get(key) for each in items(reply)] == [SECOND, SECOND, None, None]


def test_an_address_is_one_of_the_schemes_that_kendra_has(served: Kendra) -> None:
    reply = query(served)
    assert item(reply, "manual-1")["DocumentURI"] == "https://papers.example/manual"
    assert item(reply, "leaflet")["DocumentURI"] == item(reply, "note")["DocumentURI"] == ""
    # The attribute has it as it is.
    assert attributes(item(reply, "leaflet"))["_source_uri"] == "javascript:alert(1)"
    passages = served.client.retrieve(IndexId=EACH, QueryText="kettle")["ResultItems"]
    assert {each["DocumentId"]: each["DocumentURI"] for each in passages}["leaflet"] == ""


def test_a_document_without_a_title_has_an_empty_one(served: Kendra) -> None:
    reply = query(served)
    for name in ("leaflet", "note"):
        assert item(reply, name)["DocumentTitle"] == {"Text": "", "Highlights": []}
    passages = served.client.retrieve(IndexId=EACH, QueryText="kettle")["ResultItems"]
    assert {each["DocumentId"]: each["DocumentTitle"] for each in passages}["note"] == ""


def test_an_empty_string_is_no_value(served: Kendra) -> None:
    reply = query(served, Facets=[{"DocumentAttributeKey": "Spare"}])
    assert facet(reply, "Spare") == {"left": 1}
    assert attributes(item(reply, "leaflet"))["Spare"] == ["left"]
    assert "Spare" not in attributes(item(reply, "note"))


def test_what_is_not_displayable_is_not_shown_when_it_is_asked_for(served: Kendra) -> None:
    names = ["_language_code", "Kind"]
    reply = query(served, RequestedDocumentAttributes=names)
    assert all(set(attributes(each)) == {"Kind"} for each in items(reply))


@pytest.mark.parametrize(
    ("page", "answers"), [(1, {"manual-1", "leaflet"}), (2, {"manual-2"}), (3, set())]
)
def test_page_numbers_choose_among_answers_alone(
    served: Kendra, page: int, answers: set[str]
) -> None:
    filter_ = condition("EqualsTo", "_excerpt_page_number", {"LongValue": page})

    def found(kind: str, **members: Any) -> list[str]:
        return ids(query(served, QueryResultTypeFilter=kind, **members), kind)

    assert len(found("ANSWER")) == 3
    assert set(found("ANSWER", AttributeFilter=filter_)) == answers
    assert found("DOCUMENT", AttributeFilter=filter_) == found("DOCUMENT") != []


def test_passages_of_one_document_are_one_everywhere(served: Kendra) -> None:
    reply = query(
        served,
        WHOLE,
        Facets=[{"DocumentAttributeKey": "Kind"}, {"DocumentAttributeKey": "_created_at"}],
    )
    assert sorted(ids(reply)) == ["leaflet", "manual", "note"]
    assert reply["TotalNumberOfResults"] == 3
    assert facet(reply, "Kind") == {"book": 2, "sheet": 1}
    assert query(served)["TotalNumberOfResults"] == 4
    passages = served.client.retrieve(IndexId=WHOLE, QueryText="kettle")["ResultItems"]
    assert {each["DocumentId"] for each in passages} == {"leaflet", "manual", "note"}


def test_a_synonym_is_marked_as_one(served: Kendra) -> None:
    reply = query(served)
    for name, words, kind in (
        ("manual-1", ["kettle"], "STANDARD"),
        ("leaflet", ["pot"], "THESAURUS_SYNONYM"),
    ):
        excerpt = item(reply, name)["DocumentExcerpt"]
        assert slices(excerpt) == words
        assert [each["Type"] for each in excerpt["Highlights"]] == [kind]


def test_a_filter_of_language_may_be_the_indexs_own(served: Kendra) -> None:
    german = condition("EqualsTo", "_language_code", {"StringValue": "de"})
    assert set(ids(query(served))) == set(DOCUMENTS)
    assert set(ids(query(served, ENGLISH))) == {"manual-1", "manual-2"}
    assert set(ids(query(served, ENGLISH, AttributeFilter=german))) == {"note"}


def test_a_list_has_the_order_and_the_repeats_of_its_document(served: Kendra) -> None:
    shown = attributes(item(query(served), "manual-1"))
    assert shown["Writers"] == ["Zoe", "Ada", "Zoe", "Bob"]
    passages = served.client.retrieve(IndexId=EACH, QueryText="copper")["ResultItems"]
    assert attributes(passages[0])["Writers"] == ["Zoe", "Ada", "Zoe", "Bob"]


def test_a_longer_text_may_be_accepted(served: Kendra) -> None:
    text = "kettle " + "x" * 994
    assert len(text) == 1001
    assert query(served, ENGLISH, text)["ResultItems"]
    with pytest.raises(served.client.exceptions.ValidationException, match="1000 are allowed"):
        query(served, EACH, text)


def test_the_total_may_count_documents_of_groups(served: Kendra) -> None:
    collapse: dict[str, Any] = {"CollapseConfiguration": {"DocumentAttributeKey": "Kind"}}
    assert query(served, **collapse)["TotalNumberOfResults"] == 2
    reply = query(served, ENGLISH, **collapse)
    assert (reply["TotalNumberOfResults"], len(items(reply))) == (2, 1)
    assert query(served, ENGLISH)["TotalNumberOfResults"] == 2


def test_a_document_has_one_answer_and_stays_a_document(served: Kendra) -> None:
    reply = served.client.query(IndexId=WHOLE, QueryText="kettle")
    assert sorted(ids(reply, "ANSWER")) == sorted(ids(reply)) == ["leaflet", "manual", "note"]
    assert reply["TotalNumberOfResults"] == 6
    best = served.client.query(IndexId=WHOLE, QueryText="copper kettle boils water quickly")
    [text] = additional(items(best, "ANSWER")[0]).values()
    assert "The copper kettle boils water quickly." in slices(text)
