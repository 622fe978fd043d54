"""The filter of a caller. `tests/kendra/test_user_context.py` tries it on real documents."""

from typing import Any

import pytest

from sidecar.aws.json import AwsError
from sidecar.config.kendra_users import UserContextSettings, UserTokens
from sidecar.kendra.indexes.user_context import Caller, find_token, read_caller, write_caller_filter

BY_ATTRIBUTES = UserContextSettings()
BY_TOKEN = UserContextSettings(policy="USER_TOKEN", tokens=UserTokens(unsigned_json=True))
ALLOW = ("_acl_user_allow", "_acl_group_allow", "_acl_data_source_group_allow")
PUBLIC = {"bool": {"must_not": [{"exists": {"field": field}} for field in ALLOW]}}


@pytest.mark.parametrize("context", [None, {}])
def test_without_a_user_attribute_filter_allows_everything(
    context: dict[str, Any] | None,
) -> None:
    caller = read_caller(context, BY_ATTRIBUTES)
    assert caller is None
    assert write_caller_filter(caller, BY_ATTRIBUTES) is None


@pytest.mark.parametrize("context", [None, {}, {"UserId": "ann", "Groups": ["staff"]}])
def test_without_a_token_user_token_allows_only_public_documents(
    context: dict[str, Any] | None,
) -> None:
    caller = read_caller(context, BY_TOKEN)
    assert caller == Caller()
    # Without user and groups there are no clauses for them, but the filter stays.
    assert write_caller_filter(caller, BY_TOKEN) == {
        "bool": {"filter": [{"bool": {"minimum_should_match": 1, "should": [PUBLIC]}}]}
    }


def test_the_predicate_of_a_user_with_groups_and_data_source_groups() -> None:
    context = {
        "UserId": "u",
        "Groups": ["g1", "g2", "g1"],
        "DataSourceGroups": [{"GroupId": "g", "DataSourceId": "s"}],
    }
    assert write_caller_filter(read_caller(context, BY_ATTRIBUTES), BY_ATTRIBUTES) == {
        "bool": {
            "filter": [
                {
                    "bool": {
                        "minimum_should_match": 1,
                        "should": [
                            PUBLIC,
                            {"term": {"_acl_user_allow": "u"}},
                            {"terms": {"_acl_group_allow": ["g1", "g2"]}},
                            {"terms": {"_acl_data_source_group_allow": ["s|g"]}},
                        ],
                    }
                }
            ],
            "must_not": [
                {"term": {"_acl_user_deny": "u"}},
                {"terms": {"_acl_group_deny": ["g1", "g2"]}},
                {"terms": {"_acl_data_source_group_deny": ["s|g"]}},
            ],
        }
    }


def test_a_user_without_groups_has_no_clause_for_groups() -> None:
    written = write_caller_filter(Caller("u"), BY_ATTRIBUTES)
    assert written is not None
    assert written["bool"]["must_not"] == [{"term": {"_acl_user_deny": "u"}}]
    (visible,) = written["bool"]["filter"]
    assert visible["bool"]["should"] == [PUBLIC, {"term": {"_acl_user_allow": "u"}}]


def test_the_fields_are_the_configured_ones() -> None:
    settings = UserContextSettings(
        user_allow="a", user_deny="b", group_allow="c", group_deny="d",
        data_source_group_allow="e", data_source_group_deny="f",
    )  # fmt: skip
    written = str(write_caller_filter(Caller("u", ("g",), ("s|g",)), settings))
    assert "_acl" not in written
    assert all(f"'{field}'" in written for field in "abcdef")


@pytest.mark.parametrize("settings", [BY_ATTRIBUTES, BY_TOKEN])
def test_a_verified_token_decides_by_either_policy(settings: UserContextSettings) -> None:
    caller = Caller("ann", ("staff",))
    assert read_caller({"Token": "t"}, settings, caller) is caller


@pytest.mark.parametrize(
    "others",
    [
        {"UserId": "ann"},
        {"Groups": ["staff"]},
        {"DataSourceGroups": [{"GroupId": "g", "DataSourceId": "s"}]},
    ],
)
def test_a_token_beside_a_user_or_groups_is_refused(others: dict[str, Any]) -> None:
    assert find_token({"Token": "t"}) == "t"
    assert find_token(others) is None
    with pytest.raises(AwsError) as caught:
        find_token({"Token": "t", **others})
    assert caught.value.name == "ValidationException"
    assert next(iter(others)) in caught.value.message
