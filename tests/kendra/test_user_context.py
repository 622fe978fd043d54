"""Nothing that a caller may not see influences what he gets: every way to look for it is tried."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError

from tests.kendra.collection import QUESTIONS, Access, papers
from tests.kendra.replies import all_ids, everything, facet, ids
from tests.kendra.serving import GUARDED, PAPERS, SECRET

BROWSE = [{"DocumentAttributeKey": "_category", "MaxResults": 100}]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who asks."""

    user: str | None = None
    groups: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def context(self) -> dict[str, Any]:
        context: dict[str, Any] = {}
        if self.user:
            context["UserId"] = self.user
        if self.groups:
            context["Groups"] = list(self.groups)
        if self.sources:
            pairs = [source.split("|") for source in self.sources]
            context["DataSourceGroups"] = [{"DataSourceId": s, "GroupId": g} for s, g in pairs]
        return context

    def sees(self, access: Access) -> bool:
        return access.lets_in(self.user, self.groups, self.sources)


PEOPLE = (
    Person("ann"),
    Person("ann", ("interns",)),
    Person("bob"),
    Person("bob", ("staff",)),
    Person("cat", ("staff", "interns")),
    Person("eve", (), ("wiki|guests",)),
    Person("eve", ("none",), ("wiki|editors", "wiki|others")),
    Person(None, ("staff",)),
    Person(None, (), ("wiki|editors",)),
    Person("nobody"),
)


def visible(person: Person) -> set[str]:
    return {paper.id for paper in papers() if person.sees(paper.access)}


def token(person: Person, **claims: Any) -> str:
    named = {"user": person.user, "groups": list(person.groups), "exp": time.time() + 60}
    return jwt.encode({**named, **claims}, SECRET, "HS256")


def error(call: Any, **members: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(**members)
    return caught.value


@pytest.mark.parametrize("person", PEOPLE, ids=str)
def test_total_and_facet_counts_are_of_the_visible_documents(client: Any, person: Person) -> None:
    reply = client.query(IndexId=PAPERS, Facets=BROWSE, UserContext=person.context)
    expected: dict[str, int] = {}
    for paper in papers():
        if person.sees(paper.access):
            expected[paper.category] = expected.get(paper.category, 0) + 1
    assert facet(reply, "_category") == expected
    assert reply["TotalNumberOfResults"] == sum(expected.values())


@pytest.mark.parametrize("person", PEOPLE, ids=str)
def test_hits_and_passages_are_of_the_visible_documents(client: Any, person: Person) -> None:
    text = "cells protein kettle nightingale quagsire"
    query = everything(client, PAPERS, QueryText=text, UserContext=person.context)
    found = client.retrieve(
        IndexId=PAPERS, QueryText=text, PageSize=100, UserContext=person.context
    )
    hits, passages = all_ids(query), {item["DocumentId"] for item in found["ResultItems"]}
    assert set(hits) <= visible(person)
    assert passages <= visible(person)
    assert len(hits) == len(set(hits)) > 50
    hidden = {"secret-1", "secret-2"} - visible(person)
    assert {"secret-1", "secret-2"} & set(hits) == {"secret-1", "secret-2"} - hidden


def test_without_user_information_everything_is_visible(client: Any) -> None:
    contexts: list[dict[str, Any] | None] = [{}, None]
    for context in contexts:
        members = {} if context is None else {"UserContext": context}
        reply = client.query(IndexId=PAPERS, Facets=BROWSE, **members)
        assert reply["TotalNumberOfResults"] == len(papers())


@pytest.mark.parametrize("person", PEOPLE[:5], ids=str)
def test_a_token_names_the_same_user_and_groups(client: Any, person: Person) -> None:
    reply = client.query(IndexId=GUARDED, Facets=BROWSE, UserContext={"Token": token(person)})
    assert reply["TotalNumberOfResults"] == len(visible(person))


@pytest.mark.parametrize("context", [None, {}, {"UserId": "ann"}, {"Groups": ["staff"]}])
def test_without_a_token_only_public_documents_are_visible(
    client: Any, context: dict[str, Any] | None
) -> None:
    members = {} if context is None else {"UserContext": context}
    public = Person()
    reply = client.query(IndexId=GUARDED, Facets=BROWSE, **members)
    assert reply["TotalNumberOfResults"] == len(visible(public))
    found = client.retrieve(IndexId=GUARDED, QueryText="nightingale kettle", **members)
    assert {item["DocumentId"] for item in found["ResultItems"]} <= visible(public)


@pytest.mark.parametrize(
    "bad",
    [
        "x",
        token(Person("ann"), exp=1),
        jwt.encode({"user": "ann", "exp": time.time() + 60}, "another secret" * 4, "HS256"),
        jwt.encode({"user": "ann", "exp": time.time() + 60}, "", "none"),
        json.dumps({"user": "ann", "groups": ["staff"]}),
    ],
    ids=["no token", "expired", "another secret", "unsigned", "plain JSON"],
)
@pytest.mark.parametrize("operation", ["query", "retrieve"])
def test_a_bad_token_is_denied(client: Any, bad: str, operation: str) -> None:
    refused = error(
        getattr(client, operation), IndexId=GUARDED, QueryText="x", UserContext={"Token": bad}
    )
    assert refused.response["Error"]["Code"] == "AccessDeniedException"


@pytest.mark.parametrize("operation", ["query", "retrieve"])
def test_a_token_beside_a_user_is_refused(client: Any, operation: str) -> None:
    context = {"Token": token(Person("ann")), "UserId": "ann"}
    refused = error(getattr(client, operation), IndexId=PAPERS, QueryText="x", UserContext=context)
    assert refused.response["Error"]["Code"] == "ValidationException"


# Every request that could tell something of a hidden document, without naming a user.
PROBES: Sequence[Mapping[str, Any]] = (
    {"QueryText": "nightingale"},
    {"QueryText": '"nightingale kettle"'},
    {"QueryText": "nightin*"},
    {"QueryText": "kettle NOT nightingale"},
    {"QueryText": "kettle OR nightingale"},
    {"QueryText": "_category:mallorys"},
    {"QueryText": "_view_count:>999999"},
    {"QueryText": "_acl_user_allow:ann"},
    {"QueryText": "content:nightingale"},
    {"QueryText": "meta.category:mallorys"},
    {"QueryText": "_created_at:[2029 TO 2032]"},
    {
        "QueryText": "kettle",
        "Facets": [
            {"DocumentAttributeKey": "_category", "Facets": [{"DocumentAttributeKey": "_authors"}]},
            {"DocumentAttributeKey": "_authors"},
            {"DocumentAttributeKey": "_view_count"},
            {"DocumentAttributeKey": "_created_at"},
            {"DocumentAttributeKey": "Lab", "MaxResults": 100},
        ],
    },
    {
        "QueryText": "kettle",
        "SortingConfigurations": [{"DocumentAttributeKey": "_created_at", "SortOrder": "DESC"}],
    },
    {
        "QueryText": "kettle",
        "SortingConfiguration": {"DocumentAttributeKey": "_view_count", "SortOrder": "DESC"},
    },
    {
        "QueryText": "kettle",
        "CollapseConfiguration": {
            "DocumentAttributeKey": "Lab",
            "Expand": True,
            "ExpandConfiguration": {"MaxResultItemsToExpand": 50, "MaxExpandedResultsPerItem": 50},
        },
    },
    {
        "QueryText": "kettle",
        "DocumentRelevanceOverrideConfigurations": [
            {"Name": "_view_count", "Relevance": {"RankOrder": "ASCENDING", "Importance": 10}}
        ],
    },
    {"AttributeFilter": {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "mallorys"}}}},
    {
        "AttributeFilter": {
            "NotFilter": {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "genetics"}}}
        },
        "Facets": BROWSE,
    },
    {"AttributeFilter": {"GreaterThan": {"Key": "_view_count", "Value": {"LongValue": 500}}}},
    {
        "QueryText": "nightingale",
        "AttributeFilter": {"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": "ann"}}},
    },
    {
        "QueryText": "nightingale",
        "AttributeFilter": {
            "OrAllFilters": [
                {"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": "ann"}}},
                {"ContainsAny": {"Key": "_group_ids", "Value": {"StringListValue": ["staff"]}}},
            ]
        },
    },
    {
        "QueryText": "nightingle kettel quagsir",
        "SpellCorrectionConfiguration": {"IncludeQuerySpellCheckSuggestions": True},
    },
    {
        "QueryText": "nightingale quagsire",
        "SpellCorrectionConfiguration": {"IncludeQuerySpellCheckSuggestions": True},
    },
    {"QueryText": "best kettle"},
    {"QueryText": "How do I descale the nightingale kettle?"},
    {"QueryText": "How do I descale a kettle?", "QueryResultTypeFilter": "QUESTION_ANSWER"},
    {"QueryText": "nightingale sings at midnight", "QueryResultTypeFilter": "ANSWER"},
)

SECRETS = (
    *("nightingale", "secret-1", "mallorys", "Mallory", "Hidden", "midnight"),
    *("2030-01-01", "1000000", "faq-6"),
)


def tells(reply: Mapping[str, Any], words: Sequence[str], asked: Mapping[str, Any]) -> list[str]:
    """The hidden words that a reply has and its request had not."""
    shown = {name: value for name, value in reply.items() if name != "ResponseMetadata"}
    for name in ("QueryId", "Warnings"):
        shown.pop(name, None)
    written = json.dumps(_without_made_ids(shown), default=str).lower()
    asked_for = json.dumps(asked).lower()
    return [word for word in words if word.lower() in written and word.lower() not in asked_for]


def _without_made_ids(value: Any) -> Any:
    """Random digits could happen to spell a hidden number."""
    if isinstance(value, dict):
        return {
            name: _without_made_ids(inner)
            for name, inner in value.items()
            if name not in ("Id", "FeedbackToken")
        }
    return [_without_made_ids(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: json.dumps(probe)[:80])
def test_a_hidden_document_cannot_be_found_out(client: Any, probe: Mapping[str, Any]) -> None:
    cat = client.query(IndexId=PAPERS, UserContext={"UserId": "cat"}, **probe)
    assert tells(cat, SECRETS, probe) == []
    assert "secret-1" not in json.dumps(_without_made_ids(cat["ResultItems"]))
    public = client.query(IndexId=GUARDED, **probe)
    assert tells(public, SECRETS, probe) == []
    if "QueryText" in probe:
        asked = {
            name: probe[name]
            for name in ("QueryText", "AttributeFilter", "DocumentRelevanceOverrideConfigurations")
            if name in probe
        }
        found = client.retrieve(
            IndexId=PAPERS, PageSize=100, UserContext={"UserId": "cat"}, **asked
        )
        assert tells(found, SECRETS, probe) == []


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: json.dumps(probe)[:80])
def test_who_is_denied_learns_no_more_than_who_is_not_allowed(
    client: Any, probe: Mapping[str, Any]
) -> None:
    bob = client.query(IndexId=PAPERS, UserContext={"UserId": "bob"}, **probe)
    words = ("quagsire", "secret-2", "embargoed", "Trent", "Sealed", "2000000", "2031-01-01")
    assert tells(bob, words, probe) == []


def test_the_probes_do_find_what_they_look_for(client: Any) -> None:
    """Otherwise the tests above would prove nothing."""
    told: set[str] = set()
    for probe in PROBES:
        ann = client.query(
            IndexId=PAPERS, UserContext={"UserId": "ann"}, PageSize=100,
            RequestedDocumentAttributes=["_category", "_created_at", "_view_count"], **probe,
        )  # fmt: skip
        told.update(word for word in SECRETS if word in json.dumps(ann, default=str))
    assert told >= {"nightingale", "secret-1", "mallorys", "Mallory", "Hidden", "faq-6"}


def test_a_hidden_document_changes_no_order_and_no_count(client: Any) -> None:
    """What a caller gets is what he would get if his documents were all there are."""
    hidden = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "mallorys"}}}
    mine = {"NotFilter": hidden}
    for text in ("kettle", "kettle boils", "nightingale kettle"):
        seen = client.query(IndexId=PAPERS, QueryText=text, UserContext={"UserId": "nobody"})
        left = client.query(
            IndexId=PAPERS, QueryText=text, UserContext={"UserId": "nobody"}, AttributeFilter=mine
        )
        assert ids(seen) == ids(left)
        assert seen["TotalNumberOfResults"] == left["TotalNumberOfResults"]


def test_spelling_offers_what_the_callers_own_documents_have(client: Any) -> None:
    def suggested(text: str, **members: Any) -> list[str]:
        reply = client.query(
            IndexId=PAPERS,
            QueryText=text,
            SpellCorrectionConfiguration={"IncludeQuerySpellCheckSuggestions": True},
            **members,
        )
        return [each["SuggestedQueryText"] for each in reply.get("SpellCorrectedQueries", [])]

    assert suggested("nightingle kettel") == ["nightingale kettle"]
    assert suggested("nightingle kettel", UserContext={"UserId": "ann"}) == ["nightingale kettle"]
    assert suggested("nightingle kettel", UserContext={"UserId": "cat"}) == ["nightingle kettle"]
    # A word that only hidden documents have is as unknown as any other.
    assert suggested("nightingale", UserContext={"UserId": "cat"}) == []
    assert suggested("kettle", UserContext={"UserId": "cat"}) == []


def test_questions_have_owners_of_their_own(client: Any) -> None:
    text = "How do I descale the nightingale kettle?"
    for person, expected in ((Person("ann"), True), (Person("cat"), False)):
        reply = client.query(
            IndexId=PAPERS,
            QueryText=text,
            QueryResultTypeFilter="QUESTION_ANSWER",
            UserContext=person.context,
        )
        shown = ids(reply, "QUESTION_ANSWER")
        assert ("faq-6" in shown) == expected
        assert set(shown) <= {entry.id for entry in QUESTIONS if person.sees(entry.access)}


def test_featured_documents_are_those_that_the_caller_may_see(client: Any) -> None:
    def featured(**members: Any) -> list[str]:
        reply = client.query(IndexId=PAPERS, QueryText="best kettle", **members)
        assert not {item["DocumentId"] for item in reply["ResultItems"]} & {
            item["DocumentId"] for item in reply["FeaturedResultsItems"]
        }
        return [item["DocumentId"] for item in reply["FeaturedResultsItems"]]

    assert featured() == ["kettle-4", "secret-1", "secret-2", "kettle-1"]
    assert featured(UserContext={"UserId": "ann"}) == [
        "kettle-4",
        "secret-1",
        "secret-2",
        "kettle-1",
    ]
    assert featured(UserContext={"UserId": "bob"}) == ["kettle-4", "kettle-1"]
    assert featured(UserContext={"UserId": "cat"}) == ["kettle-4", "secret-2", "kettle-1"]


def test_user_context_and_the_filter_on_users_hold_both(client: Any) -> None:
    def total(user: str, named: str, groups: Sequence[str] = ()) -> int:
        filters = [{"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": named}}}]
        if groups:
            value = {"StringListValue": list(groups)}
            filters.append({"ContainsAny": {"Key": "_group_ids", "Value": value}})
        reply = client.query(
            IndexId=PAPERS,
            Facets=BROWSE,
            UserContext={"UserId": user},
            AttributeFilter={"AndAllFilters": filters},
        )
        return int(reply["TotalNumberOfResults"])

    for named, groups in (("ann", ()), ("bob", ("staff",))):
        both = visible(Person("cat")) & visible(Person(named, groups))
        assert total("cat", named, groups) == len(both)
    alone = client.query(
        IndexId=PAPERS,
        Facets=BROWSE,
        AttributeFilter={"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": "bob"}}},
    )
    assert alone["TotalNumberOfResults"] == len(visible(Person("bob")))


def test_an_email_in_the_filter_is_the_user(client: Any) -> None:
    def total(**filter_: Any) -> int:
        reply = client.query(IndexId=PAPERS, Facets=BROWSE, AttributeFilter=filter_)
        return int(reply["TotalNumberOfResults"])

    email = {"EqualsTo": {"Key": "_email_id", "Value": {"StringValue": "bob"}}}
    public: dict[str, Any] = {"EqualsTo": {"Key": "_email_id", "Value": {}}}
    assert total(**email) == len(visible(Person("bob")))
    assert total(**public) == len(visible(Person()))
    assert total(OrAllFilters=[email, public]) == len(visible(Person("bob")))


def test_suggestions_tell_nothing(client: Any) -> None:
    reply = client.get_query_suggestions(IndexId=PAPERS, QueryText="nightin")
    assert reply["Suggestions"] == []
