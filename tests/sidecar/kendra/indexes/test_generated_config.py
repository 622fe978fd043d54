"""The first configuration, guessed from an index: it is valid and fits the mapping."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.kendra import Kendra
from sidecar.kendra.indexes.generated_config import guess_index
from sidecar.kendra.indexes.mapping_check import check_index, flatten_mapping

TEXT: dict[str, Any] = {"type": "text", "fields": {"keyword": {"type": "keyword"}}}
KEYWORD: dict[str, Any] = {"type": "keyword"}


def guess(properties: dict[str, Any], *samples: dict[str, Any]) -> dict[str, Any]:
    """The guess, checked by the rules of the configuration and of the mapping."""
    fields = flatten_mapping({"properties": properties})
    index_id, settings = guess_index("docs", fields, samples)
    section = Kendra.model_validate({"indexes": {index_id: settings}})
    assert check_index(section.indexes[index_id], fields) == []
    return settings


def test_a_typical_index() -> None:
    body = {"type": "text", "fields": {"spell": {"type": "text"}}}
    settings = guess(
        {
            "title": TEXT,
            "content": body,
            "url": KEYWORD,
            "author": KEYWORD,
            "category": KEYWORD,
            "created": {"type": "date"},
            "meta": {"properties": {"views": {"type": "long"}, "team name": TEXT}},
            "_acl_user_allow": KEYWORD,
            "vector": {"type": "knn_vector"},
        },
        {"meta": {"team name": "Blue"}},
    )
    assert settings == {
        "index": "docs",
        "fields": {"title": "title", "body": "content", "uri": "url"},
        "attributes": {
            "_source_uri": {"type": "STRING", "field": "url"},
            "_authors": {"type": "STRING_LIST", "field": "author", "facetable": True},
            "_category": {
                "type": "STRING",
                "field": "category",
                "facetable": True,
                "sortable": True,
            },
            "_view_count": {
                "type": "LONG",
                "field": "meta.views",
                "facetable": True,
                "sortable": True,
            },
            "meta-team-name": {
                "type": "STRING",
                "field": "meta.team name.keyword",
                "text_field": "meta.team name",
                "searchable": True,
                "facetable": True,
                "sortable": True,
            },
            "_created_at": {
                "type": "DATE",
                "field": "created",
                "facetable": True,
                "sortable": True,
            },
        },
        "spell_field": "content.spell",
    }


def test_fields_with_unknown_names_are_judged_by_the_documents() -> None:
    settings = guess(
        {"a": TEXT, "b": TEXT, "c": KEYWORD, "d": KEYWORD},
        {"a": "Short", "b": "A long text. " * 20, "c": "https://x.example/1", "d": ["x", "y"]},
    )
    assert settings["fields"] == {"body": "b", "uri": "c"}
    assert settings["attributes"]["d"]["type"] == "STRING_LIST"
    assert settings["attributes"]["a"]["field"] == "a.keyword"


def test_the_id_of_a_name_is_always_the_same() -> None:
    fields = flatten_mapping({"properties": {"body": TEXT}})
    assert guess_index("docs", fields, [])[0] == guess_index("docs", fields, [])[0]
    assert guess_index("docs", fields, [])[0] != guess_index("other", fields, [])[0]


def test_equal_names_become_different() -> None:
    settings = guess({"body": TEXT, "a b": KEYWORD, "a/b": KEYWORD, "_x": KEYWORD})
    assert list(settings["attributes"]) == ["a-b", "a-b-2", "x"]


def test_an_index_without_text_has_nothing_to_search() -> None:
    with pytest.raises(ValueError, match="has no text field"):
        guess_index("docs", flatten_mapping({"properties": {"a": KEYWORD}}), [])
