"""The operations that the sidecar offers, and the shape of each one's input.

Source: the service's model of 2019-02-03. Limits that depend on an index's schema, and limits whose
messages Kendra documents, are checked by the files that read the member.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.aws.shapes import (
    NO_CONTROLS,
    Flag,
    Items,
    Moment,
    OneOf,
    Pairs,
    Structure,
    Text,
    Whole,
    nest,
)

SERVICE = "AWSKendraFrontendService"
SIGNING_NAME = "kendra"

_LONG = Whole(-(2**63), 2**63 - 1)
_INTEGER = Whole(-(2**31), 2**31 - 1)
_NAME = "[a-zA-Z0-9][a-zA-Z0-9_-]*"
_ID = "[a-zA-Z0-9][a-zA-Z0-9-]*"
# Deeper than any request that is served: the files that read the member refuse it, in their words.
_LEVELS = 4


def _one_member(value: Mapping[str, object]) -> str | None:
    return "Member must have one value, not several" if len(value) > 1 else None


_INDEX_ID = Text(36, 36, _ID)
_KEY = Text(1, 200, "[a-zA-Z0-9_][a-zA-Z0-9_-]*")
_VALUE = Structure(
    {
        "StringValue": Text(1, 2048),
        "StringListValue": Items(Text(1, 2048)),
        "LongValue": _LONG,
        "DateValue": Moment(),
    },
    rule=_one_member,
)
_ATTRIBUTE = Structure({"Key": _KEY, "Value": _VALUE}, frozenset({"Key", "Value"}))
_COMPARISONS = (
    *("EqualsTo", "ContainsAll", "ContainsAny", "GreaterThan", "GreaterThanOrEquals"),
    *("LessThan", "LessThanOrEquals"),
)
_FILTER = nest(
    lambda inner: Structure(
        {
            "AndAllFilters": Items(inner),
            "OrAllFilters": Items(inner),
            "NotFilter": inner,
            **dict.fromkeys(_COMPARISONS, _ATTRIBUTE),
        }
    ),
    _LEVELS,
    "AttributeFilter cannot have a depth of more than 2.",
)
_FACETS = nest(
    lambda inner: Items(
        Structure(
            {"DocumentAttributeKey": _KEY, "MaxResults": Whole(0, 5000), "Facets": inner},
            frozenset({"DocumentAttributeKey"}),
        )
    ),
    _LEVELS,
    "Facets cannot be nested more than one level deep.",
)
_SORTING = Structure(
    {"DocumentAttributeKey": _KEY, "SortOrder": OneOf(("DESC", "ASC"))},
    frozenset({"DocumentAttributeKey", "SortOrder"}),
)
_RELEVANCE = Structure(
    {
        "Freshness": Flag(),
        "Importance": Whole(1, 10),
        "Duration": Text(1, 10, "[0-9]+[s]"),
        "RankOrder": OneOf(("ASCENDING", "DESCENDING")),
        "ValueImportanceMap": Pairs(Text(1, 50), Whole(1, 10)),
    }
)
_OVERRIDE = Structure(
    {"Name": Text(1, 30), "Relevance": _RELEVANCE}, frozenset({"Name", "Relevance"})
)
_COLLAPSE = Structure(
    {
        "DocumentAttributeKey": _KEY,
        "SortingConfigurations": Items(_SORTING, 1),
        "MissingAttributeKeyStrategy": OneOf(("IGNORE", "COLLAPSE", "EXPAND")),
        "Expand": Flag(),
        "ExpandConfiguration": Structure(
            {"MaxResultItemsToExpand": _INTEGER, "MaxExpandedResultsPerItem": _INTEGER}
        ),
    },
    frozenset({"DocumentAttributeKey"}),
)
_PRINCIPAL = Text(1, 200, NO_CONTROLS)
_USER_CONTEXT = Structure(
    {
        "Token": Text(1, 100_000, NO_CONTROLS),
        "UserId": _PRINCIPAL,
        "Groups": Items(_PRINCIPAL, 1, 2048),
        "DataSourceGroups": Items(
            Structure(
                {"GroupId": _PRINCIPAL, "DataSourceId": Text(1, 100, _NAME)},
                frozenset({"GroupId", "DataSourceId"}),
            ),
            1,
            2048,
        ),
    }
)
_RETRIEVE = {
    "IndexId": _INDEX_ID,
    "QueryText": Text(),
    "AttributeFilter": _FILTER,
    "RequestedDocumentAttributes": Items(_KEY, 1, 100),
    "DocumentRelevanceOverrideConfigurations": Items(_OVERRIDE, 0, 500),
    "PageNumber": _INTEGER,
    "PageSize": _INTEGER,
    "UserContext": _USER_CONTEXT,
}
_RESULT_ID = Text(1, 73)
_ATTRIBUTE_SUGGESTIONS = Structure(
    {
        "SuggestionAttributes": Items(_KEY, 1, 100),
        "AdditionalResponseAttributes": Items(_KEY, 1, 100),
        "AttributeFilter": _FILTER,
        "UserContext": _USER_CONTEXT,
    }
)

OPERATIONS: Mapping[str, Structure] = {
    "Query": Structure(
        {
            **_RETRIEVE,
            "Facets": _FACETS,
            "QueryResultTypeFilter": OneOf(("DOCUMENT", "QUESTION_ANSWER", "ANSWER")),
            "SortingConfiguration": _SORTING,
            "SortingConfigurations": Items(_SORTING, 1),
            "SpellCorrectionConfiguration": Structure(
                {"IncludeQuerySpellCheckSuggestions": Flag()},
                frozenset({"IncludeQuerySpellCheckSuggestions"}),
            ),
            "CollapseConfiguration": _COLLAPSE,
            "VisitorId": Text(1, 256, _NAME),
        },
        frozenset({"IndexId"}),
    ),
    "Retrieve": Structure(_RETRIEVE, frozenset({"IndexId", "QueryText"})),
    "SubmitFeedback": Structure(
        {
            "IndexId": _INDEX_ID,
            "QueryId": Text(1, 36, _ID),
            "ClickFeedbackItems": Items(
                Structure(
                    {"ResultId": _RESULT_ID, "ClickTime": Moment()},
                    frozenset({"ResultId", "ClickTime"}),
                )
            ),
            "RelevanceFeedbackItems": Items(
                Structure(
                    {
                        "ResultId": _RESULT_ID,
                        "RelevanceValue": OneOf(("RELEVANT", "NOT_RELEVANT")),
                    },
                    frozenset({"ResultId", "RelevanceValue"}),
                )
            ),
        },
        frozenset({"IndexId", "QueryId"}),
    ),
    "GetQuerySuggestions": Structure(
        {
            "IndexId": _INDEX_ID,
            "QueryText": Text(0, None, NO_CONTROLS),
            "MaxSuggestionsCount": Whole(1, 10),
            "SuggestionTypes": Items(OneOf(("QUERY", "DOCUMENT_ATTRIBUTES"))),
            "AttributeSuggestionsConfig": _ATTRIBUTE_SUGGESTIONS,
        },
        frozenset({"IndexId", "QueryText"}),
    ),
}
"""The input of each operation, by the operation's name."""
