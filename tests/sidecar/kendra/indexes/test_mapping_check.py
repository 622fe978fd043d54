"""What the mapping of a Kendra index must have; every mistake is reported at once."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.kendra import KendraIndex
from sidecar.kendra.indexes.mapping_check import check_mappings, flatten_mapping

TEXT: dict[str, Any] = {"type": "text"}
KEYWORD: dict[str, Any] = {"type": "keyword"}
PROPERTIES: dict[str, Any] = {
    "title": TEXT,
    "body": {**TEXT, "fields": {"spell": TEXT, "exact": KEYWORD}},
    "url": KEYWORD,
    "meta": {"properties": {"category": KEYWORD, "views": {"type": "long"}}},
    "created": {"type": "date"},
    "when": {"type": "alias", "path": "created"},
    "_acl_user_allow": KEYWORD,
}
SETTINGS: dict[str, Any] = {
    "index": "docs",
    "fields": {"title": "title", "body": "body", "uri": "url"},
    "attributes": {
        "_category": {"type": "STRING", "field": "meta.category"},
        "_view_count": {"type": "LONG", "field": "meta.views"},
        "_created_at": {"type": "DATE", "field": "when"},
    },
    "spell_field": "body.spell",
}


def problems(
    settings: dict[str, Any] | None = None, properties: dict[str, Any] | None = None, **more: Any
) -> list[str]:
    index = KendraIndex.model_validate({**SETTINGS, **(settings or {}), **more})
    mapping = {"mappings": {"properties": properties or PROPERTIES}}
    return check_mappings(index, {"docs-1": mapping}, {})


def test_a_fitting_mapping_has_no_mistakes() -> None:
    assert problems() == []


def test_subfields_and_fields_of_objects_have_dotted_names() -> None:
    fields = flatten_mapping({"properties": PROPERTIES})
    assert {"body.spell", "meta", "meta.category"} <= fields.keys()
    assert fields["when"] == {"type": "date"}


def test_every_mistake_is_reported_at_once() -> None:
    mistakes = problems(
        {
            "fields": {"title": "heading", "body": "url", "uri": "link", "document_id": "title"},
            "attributes": {
                "Team": {"type": "STRING", "field": "body"},
                "Size": {"type": "LONG", "field": "created"},
                "Lab": {"type": "STRING", "field": "meta.category", "text_field": "url"},
            },
            "spell_field": "body.none",
        }
    )
    assert mistakes == [
        "index docs-1: fields.title: there is no field heading",
        "index docs-1: fields.body: the field url is of type keyword, not match_only_text, "
        "search_as_you_type or text",
        "index docs-1: fields.uri: there is no field link",
        "index docs-1: fields.document_id: the field title is of type text, not constant_keyword "
        "or keyword",
        "index docs-1: spell_field: there is no field body.none",
        "index docs-1: attributes.Team: the field body is of type text, not constant_keyword or "
        "keyword; use body.exact",
        "index docs-1: attributes.Size: the field created is of type date, not byte, integer, "
        "long or short",
        "index docs-1: attributes.Lab.text_field: the field url is of type keyword, not "
        "match_only_text, search_as_you_type or text",
    ]


def test_values_are_read_by_doc_values() -> None:
    category = {"properties": {"category": {**KEYWORD, "doc_values": False}}}
    mistakes = problems(
        {"attributes": {"_category": {"type": "STRING", "field": "meta.category"}}},
        {**PROPERTIES, "meta": category},
    )
    assert mistakes == [
        "index docs-1: attributes._category: the field meta.category has no doc_values, which "
        "the sidecar reads"
    ]


def test_an_index_that_is_not_there() -> None:
    index = KendraIndex.model_validate({**SETTINGS, "faq": {"index": "faq"}})
    assert check_mappings(index, {}, {}) == [
        "index: the cluster has no index or alias docs",
        "faq.index: the cluster has no index or alias faq",
    ]


def test_the_fields_of_users_are_keywords() -> None:
    mistakes = problems(properties={**PROPERTIES, "_acl_user_allow": TEXT})
    assert mistakes == [
        "index docs-1: user_context: the field _acl_user_allow is of type text, not "
        "constant_keyword or keyword"
    ]


def test_guarded_documents_need_a_field_that_guards_them() -> None:
    guarded = {"policy": "USER_TOKEN", "tokens": {"secret": "s" * 48}}
    assert problems(user_context=guarded) == []
    open_to_all = {name: field for name, field in PROPERTIES.items() if not name.startswith("_")}
    assert problems(properties=open_to_all) == []
    [problem] = problems(properties=open_to_all, user_context=guarded)
    assert "has none of the fields _acl_user_allow, " in problem
    assert problem.endswith("every document would be public")


@pytest.mark.parametrize("acl", [False, True])
def test_questions_and_answers(acl: bool) -> None:
    faq = {"index": "faq", "attributes": ["_category"], "uri": "link", "acl": acl}
    index = KendraIndex.model_validate({**SETTINGS, "faq": faq})
    documents = {"docs": {"mappings": {"properties": PROPERTIES}}}
    questions = {"faq-1": {"mappings": {"properties": {"question": KEYWORD, "meta": {}}}}}
    mistakes = check_mappings(index, documents, questions)
    assert mistakes[:4] == [
        "index faq-1: faq.question: the field question is of type keyword, not match_only_text, "
        "search_as_you_type or text",
        "index faq-1: faq.answer: there is no field answer",
        "index faq-1: faq.uri: there is no field link",
        "index faq-1: faq.attributes _category: there is no field meta.category",
    ]
    assert len(mistakes) == 4 + acl
