"""The settings of the Kendra API: what loads, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sidecar.config.kendra import Kendra, KendraIndex, fold_query
from sidecar.config_reading.config_files import ConfigError, read_config

ID = "11111111-2222-4333-8444-555555555555"
INDEX: dict[str, Any] = {"index": "docs", "fields": {"title": "title", "body": "body"}}


def index(**settings: Any) -> KendraIndex:
    return KendraIndex.model_validate({**INDEX, **settings})


def attribute(**settings: Any) -> dict[str, Any]:
    return {"attributes": {"Team": {"type": "STRING", **settings}}}


def test_dates_are_hidden_unless_it_is_written_out() -> None:
    attributes = {
        "_created_at": {"type": "DATE"},
        "_last_updated_at": {"type": "DATE", "displayable": True},
        "Team": {"type": "STRING"},
        "Secret": {"type": "STRING", "displayable": False},
    }
    shown = {
        name for name, each in index(attributes=attributes).attributes.items() if each.is_shown
    }
    assert shown == {"_last_updated_at", "Team"}


def test_the_field_of_an_attribute_is_its_name_unless_it_is_written() -> None:
    attributes = {"Team": {"type": "STRING"}, "Lab": {"type": "STRING", "field": "meta.lab"}}
    made = index(attributes=attributes)
    assert (made.field_of("Team"), made.field_of("Lab")) == ("Team", "meta.lab")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (attribute(type="STRING_LIST", sortable=True), "a STRING_LIST cannot be sortable"),
        (attribute(type="LONG", searchable=True), "a LONG cannot be searchable"),
        (attribute(relevance={"freshness": True}), "freshness and duration are for a DATE"),
        (attribute(type="DATE", relevance={"duration": "5s"}), "duration needs freshness"),
        (attribute(relevance={"rank_order": "ASCENDING"}), "rank_order is for LONG and DATE"),
        (
            attribute(type="LONG", relevance={"value_importance_map": {"1": 2}}),
            "value_importance_map is for STRING and STRING_LIST",
        ),
        (attribute(relevance={"importance": 11}), "less than or equal to 10"),
        ({"attributes": {"_tags": {"type": "STRING"}}}, "_tags is no reserved attribute of Kendra"),
        ({"attributes": {"_category": {"type": "LONG"}}}, "_category is a STRING in Kendra"),
        (
            {
                "attributes": {
                    name: {"type": "DATE", "relevance": {"freshness": True}}
                    for name in ("_created_at", "_last_updated_at")
                }
            },
            "only one attribute may have freshness",
        ),
        ({"fields": {"body": "b", "shared_id": True}}, "shared_id needs a document_id"),
        ({"fields": {"title": "t"}}, "Field required"),
        ({"user_context": {"policy": "USER_TOKEN"}}, "USER_TOKEN needs tokens.secret"),
        ({"faq": {"index": "f", "attributes": ["Team"]}}, "faq.attributes names Team"),
        ({"confidence": {"high": 0.95}}, "must not increase"),
        ({"index": "a,b"}, "should match pattern"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_mistakes_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        index(**settings)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_authors", "STRING_LIST"),
        ("_category", "STRING"),
        ("_created_at", "DATE"),
        ("_data_source_id", "STRING"),
        ("_document_body", "STRING"),
        ("_document_id", "STRING"),
        ("_document_title", "STRING"),
        ("_excerpt_page_number", "LONG"),
        ("_faq_id", "STRING"),
        ("_file_type", "STRING"),
        ("_language_code", "STRING"),
        ("_last_updated_at", "DATE"),
        ("_source_uri", "STRING"),
        ("_tenant_id", "STRING"),
        ("_version", "STRING"),
        ("_view_count", "LONG"),
    ],
)
def test_a_reserved_field_has_its_type_and_no_other(name: str, kind: str) -> None:
    for given in ("STRING", "STRING_LIST", "LONG", "DATE"):
        if given == kind:
            assert index(attributes={name: {"type": given}}).attributes[name].type == kind
            continue
        with pytest.raises(ValidationError, match=f"{name} is a {kind} in Kendra, not a {given}"):
            index(attributes={name: {"type": given}})


def test_a_query_is_featured_by_one_active_set() -> None:
    one = {"queries": ["Time  off"], "documents": ["1"]}
    same = {"queries": [" time OFF"], "documents": ["2"]}
    assert fold_query("  Time\n off ") == "time off"
    with pytest.raises(ValidationError, match="'time off' is in two active sets"):
        index(featured=[one, same])
    assert len(index(featured=[one, {**same, "active": False}]).featured) == 2


@pytest.mark.parametrize(
    ("sets", "queries", "documents"),
    [(51, 1, 1), (1, 50, 1), (1, 1, 5), (1, 0, 1), (1, 1, 0)],
)
def test_featured_sets_have_their_limits(sets: int, queries: int, documents: int) -> None:
    def featured(sets: int, queries: int, documents: int) -> list[dict[str, Any]]:
        return [
            {
                "queries": [f"query {number} {each}" for each in range(queries)],
                "documents": [str(each) for each in range(documents)],
            }
            for number in range(sets)
        ]

    assert len(index(featured=featured(50, 1, 1)).featured) == 50
    assert len(index(featured=featured(1, 49, 4)).featured) == 1
    with pytest.raises(ValidationError):
        index(featured=featured(sets, queries, documents))


def test_secrets_are_not_shown() -> None:
    account = {"username": "u", "password": "hidden"}
    settings = Kendra.model_validate(
        {
            "indexes": {
                ID: {
                    **INDEX,
                    "account": account,
                    "user_context": {"tokens": {"secret": "hidden" * 6}},
                }
            },
            "access_keys": [{"id": "KEY", "secret": "hidden", "account": account}],
            "feedback_key": "hidden hidden hidden",
        }
    )
    assert "hidden" not in repr(settings)
    assert not settings.needs_loopback
    assert Kendra().needs_loopback


@pytest.mark.parametrize("name", ["too-short", "-" * 36, "x" * 37])
def test_index_ids_have_36_characters(name: str) -> None:
    with pytest.raises(ValidationError):
        Kendra.model_validate({"indexes": {name: INDEX}})


def written(
    folder: Path, kendra: dict[str, Any], plans: tuple[str, ...] = ("a",), **main: Any
) -> str:
    """The mistakes of a main file with this section."""
    (folder / "plans").mkdir()
    for name in plans:
        plan = {"document": {"body": "body"}, "stages": [{"model": "m"}]}
        (folder / "plans" / f"{name}.yaml").write_text(yaml.safe_dump(plan))
    whole = {
        "upstream": {"urls": ["http://127.0.0.1:9200"]},
        "models": {"m": {"kind": "cross-encoder", "source": "words", "backend": "fake"}},
        "apis": {"kendra": kendra},
        **main,
    }
    (folder / "sidecar.yaml").write_text(yaml.safe_dump(whole))
    with pytest.raises(ConfigError) as caught:
        read_config(folder / "sidecar.yaml", {})
    return str(caught.value)


def test_every_mistake_has_its_place(tmp_path: Path) -> None:
    lines = written(
        tmp_path,
        {"plan": "b", "indexes": {ID: {**INDEX, "plan": "c"}}},
        api_listen="0.0.0.0:9280",
    )
    assert "apis.kendra: has no keys, so everybody who reaches 0.0.0.0:9280 could call it" in lines
    assert "apis.kendra.plan: there is no plan b (there are: a)" in lines
    assert f"apis.kendra.indexes.{ID}.plan: there is no plan c (there are: a)" in lines


def test_unknown_keys_are_refused_with_what_is_known(tmp_path: Path) -> None:
    lines = written(
        tmp_path,
        {"indexes": {ID: {**INDEX, "attributes": {"Team": {"type": "STRING", "facet": True}}}}},
    )
    assert f"apis.kendra.indexes.{ID}.attributes.Team.facet: unknown key" in lines


def test_a_kendra_index_needs_a_plan(tmp_path: Path) -> None:
    assert "apis.kendra: needs a plan" in written(tmp_path, {"indexes": {ID: INDEX}}, plans=())
