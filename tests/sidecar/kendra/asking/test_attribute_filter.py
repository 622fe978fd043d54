"""AttributeFilter: each operator on each type, the exact limits, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.aws.json import AwsError
from sidecar.kendra.asking.attribute_filter import ParsedFilter, read_filter
from sidecar.kendra.indexes.user_context import Caller
from tests.sidecar.kendra.example_index import make_index, refused

INDEX = make_index()
HR = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "HR"}}}
HR_DSL = {"term": {"_category": "HR"}}
MISSING: dict[str, Any] = {}


def compare(operator: str, name: str, **value: Any) -> dict[str, Any]:
    return {operator: {"Key": name, "Value": value}}


def documents(filter_: dict[str, Any]) -> Any:
    return read_filter(filter_, INDEX).documents


def seconds(**bounds: int) -> dict[str, Any]:
    return {"range": {"created": {**bounds, "format": "epoch_millis"}}}


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (HR, HR_DSL),
        (compare("EqualsTo", "_view_count", LongValue=5), {"term": {"views": 5}}),
        (compare("EqualsTo", "_created_at", DateValue=5), seconds(gte=5000, lt=6000)),
        (compare("GreaterThan", "_view_count", LongValue=5), {"range": {"views": {"gt": 5}}}),
        (
            compare("GreaterThanOrEquals", "_view_count", LongValue=5),
            {"range": {"views": {"gte": 5}}},
        ),
        (compare("LessThan", "_view_count", LongValue=5), {"range": {"views": {"lt": 5}}}),
        (compare("LessThanOrEquals", "_view_count", LongValue=5), {"range": {"views": {"lte": 5}}}),
        (compare("GreaterThan", "_created_at", DateValue=5), seconds(gte=6000)),
        (compare("GreaterThanOrEquals", "_created_at", DateValue=5), seconds(gte=5000)),
        (compare("LessThan", "_created_at", DateValue=5), seconds(lt=5000)),
        (compare("LessThanOrEquals", "_created_at", DateValue=5), seconds(lt=6000)),
        (
            compare("ContainsAny", "Tags", StringListValue=["b", "a", "b"]),
            {"terms": {"tags": ["b", "a"]}},
        ),
        (
            compare("ContainsAll", "Tags", StringListValue=["b", "a"]),
            {"bool": {"filter": [{"term": {"tags": "b"}}, {"term": {"tags": "a"}}]}},
        ),
        (
            compare("EqualsTo", "Tags", StringListValue=["b", "a"]),
            {
                "bool": {
                    "filter": [{"term": {"tags": "a"}}, {"term": {"tags": "b"}}],
                    "must_not": [
                        {"range": {"tags": {"lt": "a"}}},
                        {"range": {"tags": {"gt": "a", "lt": "b"}}},
                        {"range": {"tags": {"gt": "b"}}},
                    ],
                }
            },
        ),
        (
            {"EqualsTo": {"Key": "_category", "Value": MISSING}},
            {"bool": {"must_not": [{"exists": {"field": "_category"}}]}},
        ),
        ({"NotFilter": HR}, {"bool": {"must_not": [HR_DSL]}}),
        ({"AndAllFilters": [HR, HR]}, {"bool": {"filter": [HR_DSL, HR_DSL]}}),
        (
            {"OrAllFilters": [HR, {"NotFilter": HR}]},
            {
                "bool": {
                    "should": [HR_DSL, {"bool": {"must_not": [HR_DSL]}}],
                    "minimum_should_match": 1,
                }
            },
        ),
        (
            HR | compare("ContainsAny", "Tags", StringListValue=["a"]),
            {"bool": {"filter": [HR_DSL, {"terms": {"tags": ["a"]}}]}},
        ),
    ],
    ids=str,
)
def test_each_row_of_the_table(filter_: dict[str, Any], expected: dict[str, Any]) -> None:
    assert documents(filter_) == expected


def test_long_values_are_compared_by_their_first_characters() -> None:
    one, other = "x" * 200, "y" * 201
    sets = documents(compare("EqualsTo", "Tags", StringListValue=[one, other]))["bool"]
    assert sets["filter"] == [{"term": {"tags": one}}, {"term": {"tags": other}}]
    assert sets["must_not"] == [
        {"range": {"tags": {"lt": one}}},
        {"range": {"tags": {"gt": one, "lt": "y" * 200}}},
        {"range": {"tags": {"gt": "y" * 200 + "\U0010ffff"}}},
    ]


@pytest.mark.parametrize("filter_", [None, {}, {"AndAllFilters": []}, {"AndAllFilters": [{}]}])
def test_an_empty_filter_or_an_empty_and_matches_everything(filter_: Any) -> None:
    assert read_filter(filter_, INDEX) == ParsedFilter()


def test_an_or_with_an_empty_filter_matches_everything() -> None:
    assert documents({"OrAllFilters": [HR, {}]}) is None


def test_an_empty_or_is_refused() -> None:
    with refused("AttributeFilter has an OrAllFilters without filters."):
        documents({"OrAllFilters": []})


def test_a_not_of_nothing_is_refused() -> None:
    with refused("AttributeFilter has a NotFilter without filters."):
        documents({"NotFilter": {}})


@pytest.mark.parametrize(
    "filter_",
    [
        {"AndAllFilters": [HR, {"OrAllFilters": [HR]}]},
        {"NotFilter": {"AndAllFilters": [HR]}},
        {"AndAllFilters": [{"NotFilter": HR}], "OrAllFilters": [{"NotFilter": HR}]},
    ],
    ids=str,
)
def test_a_depth_of_two_is_accepted(filter_: dict[str, Any]) -> None:
    assert documents(filter_) is not None


@pytest.mark.parametrize(
    "filter_",
    [
        {"AndAllFilters": [{"OrAllFilters": [{"NotFilter": HR}]}]},
        {"NotFilter": {"NotFilter": {"NotFilter": HR}}},
        {"OrAllFilters": [{"NotFilter": {"AndAllFilters": []}}]},
    ],
    ids=str,
)
def test_a_depth_of_three_is_refused(filter_: dict[str, Any]) -> None:
    with refused("AttributeFilter cannot have a depth of more than 2."):
        documents(filter_)


@pytest.mark.parametrize("container", ["AndAllFilters", "OrAllFilters"])
def test_lists_of_ten_are_accepted_and_of_eleven_refused(container: str) -> None:
    assert documents({container: [HR] * 10}) is not None
    with refused("AttributeFilter cannot have a length of more than 10"):
        documents({container: [HR] * 11})
    with refused("AttributeFilter cannot have a length of more than 10"):
        documents({"NotFilter": {container: [HR] * 11}})


def test_lists_have_at_most_ten_values() -> None:
    assert documents(compare("ContainsAny", "Tags", StringListValue=["a"] * 10))
    with refused("AttributeFilter compares Tags with 11 values; 10 are allowed."):
        documents(compare("ContainsAny", "Tags", StringListValue=["a"] * 11))
    with refused("AttributeFilter compares Tags with a list of no values."):
        documents(compare("ContainsAny", "Tags", StringListValue=[]))


@pytest.mark.parametrize("operator", ["ContainsAll", "ContainsAny"])
def test_only_lists_can_contain_values(operator: str) -> None:
    with refused(
        f"AttributeFilter applies {operator} to the attribute _category, a STRING; it is for "
        "STRING_LIST."
    ):
        documents(compare(operator, "_category", StringValue="HR"))


@pytest.mark.parametrize(
    "operator", ["GreaterThan", "GreaterThanOrEquals", "LessThan", "LessThanOrEquals"]
)
@pytest.mark.parametrize(("name", "kind"), [("_category", "STRING"), ("Tags", "STRING_LIST")])
def test_only_dates_and_numbers_are_greater_or_less(operator: str, name: str, kind: str) -> None:
    with refused(
        f"AttributeFilter applies {operator} to the attribute {name}, a {kind}; it is for DATE "
        "and LONG."
    ):
        documents(compare(operator, name, StringValue="HR"))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("_category", {"LongValue": 1}, "a STRING, with a LongValue, not a StringValue."),
        ("_view_count", {"StringValue": "1"}, "a LONG, with a StringValue, not a LongValue."),
        ("_created_at", {"LongValue": 1}, "a DATE, with a LongValue, not a DateValue."),
        ("Tags", {"StringValue": "a"}, "a STRING_LIST, with a StringValue, not a StringListValue."),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: dict[str, Any], why: str) -> None:
    with refused(f"AttributeFilter compares {name}, {why}"):
        documents(compare("EqualsTo", name, **value))


@pytest.mark.parametrize("name", ["Unknown", "_acl_user_allow", "author", "title"])
def test_an_attribute_outside_the_schema_is_refused(name: str) -> None:
    with refused(f"AttributeFilter names the attribute {name}, which the index does not have."):
        documents(compare("EqualsTo", name, StringValue="a"))


def test_only_equality_can_ask_for_missing_values() -> None:
    with refused("AttributeFilter has a GreaterThan without a value."):
        documents(compare("GreaterThan", "_view_count"))


def test_the_attributes_of_a_filter_are_named() -> None:
    filter_ = {"AndAllFilters": [HR, {"NotFilter": compare("EqualsTo", "_view_count")}]}
    assert read_filter(filter_, INDEX).names == {"_category", "_view_count"}


USER = compare("EqualsTo", "_user_id", StringValue="ann")
EMAIL = compare("EqualsTo", "_email_id", StringValue="ann")
PUBLIC = compare("EqualsTo", "_email_id")


@pytest.mark.parametrize(
    ("filter_", "caller"),
    [
        (EMAIL, Caller("ann")),
        (PUBLIC, Caller()),
        ({"OrAllFilters": [EMAIL, PUBLIC]}, Caller("ann")),
        ({"AndAllFilters": [EMAIL, USER]}, Caller("ann")),
    ],
    ids=str,
)
def test_an_email_is_the_user_of_a_gen_ai_index(filter_: dict[str, Any], caller: Caller) -> None:
    assert read_filter(filter_, INDEX) == ParsedFilter(caller=caller)


def test_an_email_may_be_an_attribute_of_the_index() -> None:
    index = make_index({"_email_id": {"type": "STRING", "field": "email"}})
    parsed = read_filter(EMAIL, index)
    assert (parsed.documents, parsed.caller) == ({"term": {"email": "ann"}}, None)


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (compare("EqualsTo", "_language_code", StringValue="en"), {"match_all": {}}),
        (compare("EqualsTo", "_language_code", StringValue="de"), {"match_none": {}}),
        (compare("EqualsTo", "_language_code"), {"match_none": {}}),
        (
            {"NotFilter": compare("EqualsTo", "_language_code", StringValue="de")},
            {"bool": {"must_not": [{"match_none": {}}]}},
        ),
        (
            {"AndAllFilters": [compare("EqualsTo", "_language_code", StringValue="en"), HR]},
            {"bool": {"filter": [{"match_all": {}}, HR_DSL]}},
        ),
    ],
    ids=str,
)
def test_without_a_field_every_document_has_the_indexs_language(
    filter_: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert documents(filter_) == expected


GROUPS = compare("EqualsTo", "_group_ids", StringListValue=["hr", "it"])


@pytest.mark.parametrize(
    ("filter_", "user", "groups", "dsl"),
    [
        (USER, "ann", (), None),
        (GROUPS, None, ("hr", "it"), None),
        (compare("EqualsTo", "_group_ids", StringValue="hr"), None, ("hr",), None),
        (compare("ContainsAny", "_group_ids", StringListValue=["hr"]), None, ("hr",), None),
        ({"OrAllFilters": [USER, GROUPS]}, "ann", ("hr", "it"), None),
        ({"AndAllFilters": [HR, USER]}, "ann", (), HR_DSL),
        ({"AndAllFilters": [HR, {"OrAllFilters": [USER, GROUPS]}]}, "ann", ("hr", "it"), HR_DSL),
    ],
    ids=str,
)
def test_user_and_groups_become_the_caller_and_not_terms(
    filter_: dict[str, Any], user: str | None, groups: tuple[str, ...], dsl: Any
) -> None:
    assert read_filter(filter_, INDEX) == ParsedFilter(
        dsl, None, Caller(user, groups), frozenset({"_category"} if dsl else ())
    )


def test_a_hundred_groups_are_accepted() -> None:
    many = [f"g{number}" for number in range(101)]
    caller = read_filter(compare("EqualsTo", "_group_ids", StringListValue=many[:100]), INDEX)
    assert caller.caller == Caller(None, tuple(many[:100]))
    with refused("AttributeFilter can have 100 values of _group_ids at most."):
        documents(compare("EqualsTo", "_group_ids", StringListValue=many))


@pytest.mark.parametrize(
    ("filter_", "message"),
    [
        ({"NotFilter": USER}, "NotFilter cannot hold _user_id or _group_ids."),
        (
            {"NotFilter": {"AndAllFilters": [GROUPS]}},
            "NotFilter cannot hold _user_id or _group_ids.",
        ),
        (
            {"OrAllFilters": [HR, USER]},
            "OrAllFilters cannot hold _user_id or _group_ids together with other filters; put them "
            "into AndAllFilters.",
        ),
        (
            {"OrAllFilters": [USER, {"AndAllFilters": [GROUPS, HR]}]},
            "OrAllFilters cannot hold _user_id or _group_ids together with other filters; put them "
            "into AndAllFilters.",
        ),
        (
            {"AndAllFilters": [USER, compare("EqualsTo", "_user_id", StringValue="bob")]},
            "AttributeFilter names more than one _user_id.",
        ),
        (
            compare("GreaterThan", "_language_code", StringValue="a"),
            "AttributeFilter cannot apply GreaterThan to _language_code.",
        ),
        (
            compare("EqualsTo", "_language_code", LongValue=1),
            "AttributeFilter compares _language_code, a STRING, with a LongValue, not a "
            "StringValue.",
        ),
        (
            compare("EqualsTo", "_email_id", StringListValue=["a"]),
            "AttributeFilter compares _email_id, which needs a StringValue.",
        ),
        ({"NotFilter": EMAIL}, "NotFilter cannot hold _user_id or _group_ids."),
        (
            compare("GreaterThan", "_user_id", StringValue="a"),
            "AttributeFilter cannot apply GreaterThan to _user_id.",
        ),
        (
            compare("EqualsTo", "_user_id", StringListValue=["a"]),
            "AttributeFilter compares _user_id, which needs a StringValue.",
        ),
        (
            compare("EqualsTo", "_group_ids"),
            "AttributeFilter compares _group_ids, which needs a StringListValue.",
        ),
    ],
    ids=str,
)
def test_a_filter_cannot_be_used_to_see_more(filter_: dict[str, Any], message: str) -> None:
    with refused(message):
        documents(filter_)


PAGE_2 = compare("EqualsTo", "_excerpt_page_number", LongValue=2)
PAGE_2_DSL = {"term": {"page": 2}}


@pytest.mark.parametrize(
    ("filter_", "for_documents", "for_answers"),
    [
        (PAGE_2, None, PAGE_2_DSL),
        ({"AndAllFilters": [HR, PAGE_2]}, HR_DSL, {"bool": {"filter": [HR_DSL, PAGE_2_DSL]}}),
        ({"NotFilter": PAGE_2}, None, {"bool": {"must_not": [PAGE_2_DSL]}}),
        (
            {"OrAllFilters": [HR, PAGE_2]},
            {"bool": {"should": [HR_DSL], "minimum_should_match": 1}},
            {"bool": {"should": [HR_DSL, PAGE_2_DSL], "minimum_should_match": 1}},
        ),
    ],
    ids=str,
)
def test_page_numbers_filter_only_answers(
    filter_: dict[str, Any], for_documents: Any, for_answers: Any
) -> None:
    parsed_filter = read_filter(filter_, INDEX)
    assert (parsed_filter.documents, parsed_filter.answers) == (for_documents, for_answers)


COMPARISONS = st.sampled_from([HR, USER, GROUPS, PAGE_2, compare("EqualsTo", "Tags")])
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds(lambda part: {"NotFilter": part}, inner),
        st.builds(lambda part: {"AndAllFilters": part}, st.lists(inner, max_size=12)),
        st.builds(lambda part: {"OrAllFilters": part}, st.lists(inner, max_size=12)),
    ),
    max_leaves=30,
)


def depth(filter_: dict[str, Any]) -> int:
    deepest = 0
    for name, value in filter_.items():
        if name.endswith(("Filters", "Filter")):
            inner = value if isinstance(value, list) else [value]
            deepest = max(deepest, 1 + max(map(depth, inner), default=0))
    return deepest


@given(FILTERS)
def test_any_filter_is_read_or_refused_and_never_too_deep(filter_: dict[str, Any]) -> None:
    try:
        parsed_filter = read_filter(filter_, INDEX)
    except AwsError:
        return
    assert depth(filter_) <= 2
    assert "_user_id" not in str(parsed_filter.documents)
