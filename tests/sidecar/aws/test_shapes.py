"""The check of a message by its shape: what is refused, at which path, in AWS's words."""

import pytest

from sidecar.aws.json import AwsError
from sidecar.aws.shapes import (
    NO_CONTROLS,
    Flag,
    Items,
    Moment,
    Number,
    OneOf,
    Pairs,
    Structure,
    Text,
    Whole,
    has_controls,
    nest,
    read_message,
)

SHAPE = Structure(
    {
        "Name": Text(1, 3, "[a-z]*"),
        "Line": Text(0, 5, NO_CONTROLS),
        "Count": Whole(1, 50),
        "Score": Number(-1, 1),
        "Bent": Number(-1, 1, bend=True),
        "Words": Items(Text(1, 3), 1, 2),
        "Parts": Items(Structure({"Id": Text(1)}, frozenset({"Id"}))),
        "Yes": Flag(),
        "When": Moment(),
        "Order": OneOf(("ASC", "DESC")),
        "Weights": Pairs(Text(1, 3), Whole(1, 10)),
        "Tree": nest(lambda inner: Structure({"In": inner}), 2, "The tree is too deep."),
    },
    frozenset({"Name"}),
)


def mistakes(members: dict[str, object]) -> list[str]:
    with pytest.raises(AwsError) as caught:
        read_message(SHAPE, {"Name": "a", **members})
    assert caught.value.name == "ValidationException"
    return caught.value.message.split(" detected: ", 1)[1].split("; ")


def test_what_is_not_named_or_null_is_left_out() -> None:
    given = {"Name": "abc", "Line": None, "Other": object(), "Parts": [{"Id": "1", "X": 2}]}
    assert read_message(SHAPE, given) == {"Name": "abc", "Parts": [{"Id": "1"}]}


@pytest.mark.parametrize(
    ("members", "value", "rule"),
    [
        ({"Name": None}, "null at 'name'", "not be null"),
        ({"Name": ""}, "'' at 'name'", "have length greater than or equal to 1"),
        ({"Name": "abcd"}, "'abcd' at 'name'", "have length less than or equal to 3"),
        ({"Name": "A"}, "'A' at 'name'", "satisfy regular expression pattern: [a-z]*"),
        ({"Name": 7}, "'7' at 'name'", "be a string"),
        ({"Line": "a\nb"}, "'a b' at 'line'", "satisfy regular expression pattern: ^\\P{C}*$"),
        ({"Count": 0}, "'0' at 'count'", "have value greater than or equal to 1"),
        ({"Count": 51}, "'51' at 'count'", "have value less than or equal to 50"),
        ({"Count": 1.0}, "'1.0' at 'count'", "be an integer"),
        ({"Count": True}, "'True' at 'count'", "be an integer"),
        ({"Count": 10**4000}, "of type int at 'count'", "have value less than or equal to 50"),
        ({"Score": "1"}, "'1' at 'score'", "be a number"),
        ({"Score": 1.5}, "'1.5' at 'score'", "have value less than or equal to 1"),
        ({"Score": float("nan")}, "'nan' at 'score'", "be a finite number"),
        ({"Score": "NaN"}, "'NaN' at 'score'", "be a number"),
        ({"Words": "a"}, "'a' at 'words'", "be a list"),
        ({"Words": []}, "of type list at 'words'", "have length greater than or equal to 1"),
        ({"Words": ["a", ""]}, "'' at 'words.2.member'", "have length greater than or equal to 1"),
        ({"Words": ["a", None]}, "null at 'words.2.member'", "not be null"),
        ({"Parts": ["a"]}, "'a' at 'parts.1.member'", "be an object"),
        ({"Yes": "true"}, "'true' at 'yes'", "be a boolean"),
        ({"When": "2024"}, "'2024' at 'when'", "be a time in epoch seconds"),
        ({"When": float("nan")}, "'nan' at 'when'", "be a time in epoch seconds"),
        ({"When": 10**12}, "'1000000000000' at 'when'", "be a time in epoch seconds"),
        ({"Order": "asc"}, "'asc' at 'order'", "satisfy enum value set: [ASC, DESC]"),
        ({"Order": []}, "of type list at 'order'", "satisfy enum value set: [ASC, DESC]"),
        ({"Weights": []}, "of type list at 'weights'", "be an object"),
        ({"Weights": {"": 1}}, "'' at 'weights'", "have length greater than or equal to 1"),
        ({"Weights": {"a": 11}}, "'11' at 'weights.a'", "have value less than or equal to 10"),
        ({"Parts": [{"Id": "x"}, {}]}, "null at 'parts.2.member.id'", "not be null"),
    ],
)
def test_each_constraint_is_told_in_awss_words(
    members: dict[str, object], value: str, rule: str
) -> None:
    assert mistakes(members) == [f"Value {value} failed to satisfy constraint: Member must {rule}"]


def test_what_is_right_is_read() -> None:
    given = {"Name": "a", "Yes": True, "When": 5.9, "Order": "ASC", "Weights": {"a": 1, "b": None}}
    assert read_message(SHAPE, given) == {**given, "When": 5, "Weights": {"a": 1}}


def test_a_nesting_ends_somewhere() -> None:
    assert read_message(SHAPE, {"Name": "a", "Tree": {"In": {}}})["Tree"] == {"In": {}}
    with pytest.raises(AwsError) as caught:
        read_message(SHAPE, {"Name": "a", "Tree": {"In": {"In": {}}}})
    assert (caught.value.name, caught.value.message) == (
        "ValidationException",
        "The tree is too deep.",
    )


def test_several_mistakes_are_told_together_up_to_ten() -> None:
    assert len(mistakes({"Name": 1, "Count": 0})) == 2
    assert len(mistakes({"Parts": [{}] * 1000})) == 10


@pytest.mark.parametrize(
    ("given", "read"),
    [(5, 1.0), (-(10**400), -1.0), ("NaN", 0.0), ("-Infinity", 0.0), (float("inf"), 0.0)],
)
def test_a_bent_number_is_moved_into_its_range(given: object, read: float) -> None:
    assert read_message(SHAPE, {"Name": "a", "Bent": given})["Bent"] == read


def test_a_long_value_is_shown_shortened() -> None:
    [mistake] = mistakes({"Name": "x" * 3000})
    assert mistake.startswith(f"Value '{'x' * 100}...' at 'name'")


@pytest.mark.parametrize("char", ["\n", "\t", "\x00", "\u200d", "\u00ad", "\ud800", "\U000e0001"])
def test_other_characters_are_controls(char: str) -> None:
    assert has_controls(f"a{char}b")


@pytest.mark.parametrize("text", ["", "a b", "a\u00a0b", "a\u2028b", "中文 é 😀"])
def test_letters_and_blanks_of_all_kinds_are_none(text: str) -> None:
    assert not has_controls(text)
