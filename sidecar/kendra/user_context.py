"""Who asks, and the filter that leaves him the documents he may see.

The filter goes into every search of a request: documents, facets, totals, questions and answers,
featured documents and suggestions. The rules are Kendra's: what is denied stays hidden whatever is
allowed, and a document that allows nobody in particular is public.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.aws_errors import invalid
from sidecar.config_kendra_users import UserContextSettings

_NAMED = ("UserId", "Groups", "DataSourceGroups")


@dataclass(frozen=True, slots=True)
class Caller:
    """One who asks; without user and groups he sees public documents alone.

    `data_source_groups` are spelt as documents spell them, `source|group`.
    """

    user: str | None = None
    groups: tuple[str, ...] = ()
    data_source_groups: tuple[str, ...] = ()


def find_token(user_context: Mapping[str, Any] | None) -> str | None:
    """The token of a request's UserContext, None without one.

    Raises a ValidationException for a token beside a user or groups.
    """
    context = user_context or {}
    token: str | None = context.get("Token")
    if token is not None and (others := [name for name in _NAMED if context.get(name)]):
        raise invalid(
            f"UserContext has a Token and {' and '.join(others)}; give the token, or user and "
            "groups, but not both.",
        )
    return token


def read_caller(
    user_context: Mapping[str, Any] | None,
    settings: UserContextSettings,
    from_token: Caller | None = None,
) -> Caller | None:
    """Who asks, by the members of the request; None: somebody who may see everything.

    `from_token` is what the verified token says. A request that names nobody sees everything
    under the policy ATTRIBUTE_FILTER, and public documents under USER_TOKEN, where a user that is
    only named is not believed either.
    """
    if from_token is not None:
        return from_token
    if settings.policy == "USER_TOKEN":
        return Caller()
    context = user_context or {}
    if not any(context.get(name) for name in _NAMED):
        return None
    return Caller(
        context.get("UserId"),
        tuple(context.get("Groups", ())),
        tuple(
            f"{group['DataSourceId']}|{group['GroupId']}"
            for group in context.get("DataSourceGroups", ())
        ),
    )


def write_caller_filter(
    caller: Caller | None, settings: UserContextSettings
) -> dict[str, Any] | None:
    """The filter for the documents that the caller may see; None: no filter, he sees everything."""
    if caller is None:
        return None
    restricted = (
        settings.user_allow,
        settings.group_allow,
        settings.data_source_group_allow,
    )
    public = {"bool": {"must_not": [{"exists": {"field": field}} for field in restricted]}}
    named = _match(
        caller, settings.user_allow, settings.group_allow, settings.data_source_group_allow
    )
    visible: dict[str, Any] = {
        "filter": [{"bool": {"minimum_should_match": 1, "should": [public, *named]}}]
    }
    denied = _match(
        caller, settings.user_deny, settings.group_deny, settings.data_source_group_deny
    )
    if denied:
        visible["must_not"] = denied
    return {"bool": visible}


def _match(caller: Caller, user: str, group: str, data_source_group: str) -> list[dict[str, Any]]:
    clauses: list[dict[str, Any]] = []
    if caller.user is not None:
        clauses.append({"term": {user: caller.user}})
    for field, values in ((group, caller.groups), (data_source_group, caller.data_source_groups)):
        if values:
            clauses.append({"terms": {field: _once(values)}})
    return clauses


def _once(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))
