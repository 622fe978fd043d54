"""The advanced query syntax: every form in the guide, every mistake, and arbitrary texts."""

import json
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.kendra.query_text.query_syntax import (
    And,
    Clause,
    Node,
    Not,
    Or,
    Phrase,
    TermSequence,
    Wildcard,
    Words,
    parse_query,
)
from sidecar.kendra.query_text.text_query import write_text_query
from tests.sidecar.kendra.example_index import make_index

INDEX = make_index({"level": {"type": "STRING", "searchable": True}})
HR = Clause({"term": {"_category": {"value": "HR", "case_insensitive": True}}})


def parse(text: str) -> Node:
    parsed = parse_query(text, INDEX)
    assert parsed.warning is None
    return parsed.root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amazon AND sports", And((Words("amazon"), Words("sports")))),
        ("sports OR recreation", Or((Words("sports"), Words("recreation")))),
        ("amazon NOT rainforest", TermSequence((Words("amazon"), Not(Words("rainforest"))))),
        (
            "(amazon AND sports) NOT rainforest",
            TermSequence((And((Words("amazon"), Words("sports"))), Not(Words("rainforest")))),
        ),
        (
            "(amazon AND (sports OR recreation)) NOT rainforest",
            TermSequence(
                (
                    And((Words("amazon"), Or((Words("sports"), Words("recreation"))))),
                    Not(Words("rainforest")),
                )
            ),
        ),
        ("Cloud*", Wildcard("Cloud*")),
        ("kendra*aws", Wildcard("kendra*aws")),
        ("kendra*aws**.", Wildcard("kendra*aws*")),
        ('"Amazon Kendra" "pricing"', TermSequence((Phrase("Amazon Kendra"), Phrase("pricing")))),
        (
            '"Amazon Kendra" "pricing" cost',
            TermSequence((Words("cost"), Phrase("Amazon Kendra"), Phrase("pricing"))),
        ),
        ("Timeoff AND October AND _category:HR", And((Words("Timeoff"), Words("October"), HR))),
        ("a OR b AND NOT c", Or((Words("a"), And((Words("b"), Not(Words("c"))))))),
        ("HR AND IT OR TAX", Or((And((Words("HR"), Words("IT"))), Words("TAX")))),
        ("TAX LAW AND NEW YORK", And((Words("TAX LAW"), Words("NEW YORK")))),
        ("(NEW YORK CITY) AND TAX", And((Words("NEW YORK CITY"), Words("TAX")))),
        (
            "\u6a5f \u68b0 \u5b66 AND \u7fd2",
            And((Words("\u6a5f \u68b0 \u5b66"), Words("\u7fd2"))),
        ),
        ("machine learning AND aws", And((Words("machine learning"), Words("aws")))),
        ("a NOT b c", TermSequence((Words("a c"), Not(Words("b"))))),
        ("a NOT (b c)", TermSequence((Words("a"), Not(Words("b c"))))),
        ("report _category:HR", TermSequence((Words("report"), HR))),
        ('_category:"HR" report', TermSequence((Words("report"), HR))),
        ("_category:HR", HR),
    ],
    ids=str,
)
def test_each_form_of_the_guide(text: str, expected: Node) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "how do I reset my password",
        "salt and pepper or not",
        "Kendra (AWS) pricing?",
        "((f(x)))",
        "Note: read http://example.org/a:b first",
        "AT&T array[0] {a} 50% c++ <b>",
        "\u4e2d\u6587 na\u00efve \U0001f600",
        "AndOR NOTE",
        "MEASUREMENT OF DIELECTRIC CONSTANT AND LOSS",
    ],
)
def test_text_without_syntax_stays_unchanged(text: str) -> None:
    parsed = parse_query(f"  {text} ", INDEX)
    assert (parsed.root, parsed.words, parsed.warning) == (Words(text), text, None)
    assert parsed.is_plain


@pytest.mark.parametrize(
    ("text", "why", "words"),
    [
        (
            "_created_at:<2021-12-32",
            "There is no date 2021-12-32.",
            "2021-12-32",
        ),
        (
            "_view_count:ten likes",
            "The field _view_count is a number, but its value is 'ten'.",
            "ten likes",
        ),
        ("nonExistentField:123", "There is no field nonExistentField.", "nonExistentField 123"),
        (
            "_category:[A TO D]",
            "The field _category cannot have ranges; only numbers and dates can.",
            "A TO D",
        ),
        ("OR Hello", "OR must stand between words.", "Hello"),
        ("NOT Hello", "NOT must stand between words.", "Hello"),
        ("Hello AND", "An operator or a parenthesis has no words.", "Hello"),
        ("a AND OR b", "An operator or a parenthesis has no words.", "a b"),
        ("a NOT AND b", "NOT must stand before words.", "a b"),
        ("a NOT", "NOT must stand before words.", "a"),
        ("(a b", "A parenthesis is not closed.", "a b"),
        ("a b)", "A closing parenthesis has no opening one.", "a b"),
        ("a () b", "An operator or a parenthesis has no words.", "a b"),
        ("(OR a) b", "OR must stand between words.", "a b"),
        ('a "b c', "A quotation mark is not closed.", "a b c"),
        ('_category:"b c', "A quotation mark is not closed.", "b c"),
        ('a "" b', "Quotation marks have no words between them.", "a b"),
        ("_view_count:[1 TO 5", "The range of the field _view_count is not closed.", "1 TO 5"),
        ("_view_count:[1 TO 5}", "The range of the field _view_count is not closed.", "1 TO 5"),
        (
            "_view_count:[1, 5]",
            "The range of the field _view_count is not of the form [a TO b].",
            "1, 5",
        ),
        ('_category:"" x', "The field _category has no value.", "x"),
        ("_view_count:> x", "The field _view_count is a number, but its value is ''.", "x"),
        ("ab*", "A wildcard needs more than two characters before it.", "ab"),
        (
            "what is a * here",
            "A wildcard needs more than two characters before it.",
            "what is a here",
        ),
        ("Secret:x", "The field Secret is not searchable.", "x"),
        ("_acl_user_allow:ann", "There is no field _acl_user_allow.", "_acl_user_allow ann"),
        ("created:5", "There is no field created.", "created 5"),
        ("AND", "AND must stand between words.", "AND"),
        ("(" * 21 + "a" + ")" * 21, "Parentheses are nested deeper than 20.", "a"),
        (
            " OR ".join("ab" * 60),
            "The query has more than 100 operators and clauses.",
            " ".join("ab" * 60),
        ),
    ],
    ids=str,
)
def test_a_mistake_is_a_warning_and_the_search_is_for_the_words(
    text: str, why: str, words: str
) -> None:
    parsed = parse_query(text, INDEX)
    assert (parsed.warning, parsed.words) == (why, words)
    assert parsed.root == Words(words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amazon NOT rainforest", "amazon"),
        ('(amazon OR "prime video") AND _category:HR NOT (a b)', "amazon prime video"),
        ('find "red hat" here', "find red hat here"),
        ("Cloud* pricing kendra*aws*", "Cloud pricing kendra aws"),
        ("_category:HR", ""),
    ],
)
def test_the_model_reads_words_without_negated_parts(text: str, expected: str) -> None:
    assert parse_query(text, INDEX).words == expected


def test_blank_text_has_no_words() -> None:
    assert parse_query(" \n", INDEX).root == Words("")


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [*'()"[]{}:<>=*', " ", "AND ", "OR ", "NOT ", "TO ", "_category:", "_view_count:"]
            + ["_created_at:", "title:", "2020-01", "12", "word "]
        ),
        st.text(max_size=4),
    ),
    max_size=40,
).map("".join)


@given(TEXTS)
@example("\ud800 AND x")
@example("_view_count:" + "9" * 5000)
@example("_created_at:>9999")
@example("_created_at:0000")
def test_any_text_is_read_and_only_its_values_reach_the_search(text: str) -> None:
    parsed = parse_query(text, INDEX)
    dsl = write_text_query(parsed.root, ["title^2", "body^1"], "most_fields")
    written = json.dumps(dsl, ensure_ascii=False)
    written.encode()
    assert bool(parsed.words) or not text.strip() or not parsed.is_plain
    assert keys(dsl) <= {
        *("bool", "must", "filter", "should", "must_not", "minimum_should_match"),
        *("multi_match", "query", "type", "fields", "wildcard", "title", "body", "value"),
        *("case_insensitive", "term", "_category", "range", "created", "views", "gte", "lt"),
        *("format", "match_none"),
    }


def keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=5)
LEAVES = st.one_of(
    NAMES.map(Words),
    st.lists(NAMES, min_size=1, max_size=3).map(lambda words: Phrase(" ".join(words))),
    NAMES.map(lambda name: Wildcard(f"abc{name}*")),
    st.just(HR),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
        st.tuples(NAMES.map(Words), inner.map(Not)).map(TermSequence),
    ),
    max_leaves=12,
)


def spell(node: Node) -> str:
    match node:
        case Words(text):
            return text
        case Phrase(text):
            return f'"{text}"'
        case Wildcard(pattern):
            return pattern
        case Clause():
            return "_category:HR"
        case Not(part):
            return f"NOT ({spell(part)})"
        case And(parts):
            return " AND ".join(f"({spell(part)})" for part in parts)
        case Or(parts):
            return " OR ".join(f"({spell(part)})" for part in parts)
        case TermSequence(parts):
            return " ".join(map(spell, parts))


@given(TREES)
def test_every_tree_is_read_as_it_is_written(tree: Node) -> None:
    assert parse(spell(tree)) == tree
