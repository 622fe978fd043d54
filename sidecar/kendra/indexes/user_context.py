"""The caller of a request, and the filter for the documents that they may see.

The filter is part of every search of a request: documents, facets, totals, FAQ entries, featured
documents and spelling suggestions. The rules are Kendra's: a denial overrides a permission, and a
document without permissions is public.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.aws.errors import invalid
from sidecar.config.kendra_users import UserContextSettings

_IDENTITY = ("UserId", "Groups", "DataSourceGroups")


@dataclass(frozen=True, slots=True)
class Caller:
    """The user and groups of a request. Without any, only public documents are visible.

    `data_source_groups` are written as in documents: `source|group`.
    """

    user: str | None = None
    groups: tuple[str, ...] = ()
    data_source_groups: tuple[str, ...] = ()


def find_token(user_context: Mapping[str, Any] | None) -> str | None:
    """The token of a request's UserContext, None without one.

    Raises a ValidationException for a token together with a user or groups.
    """
    context = user_context or {}
    token: str | None = context.get("Token")
    if token is not None and (others := [name for name in _IDENTITY if context.get(name)]):
        raise invalid(
            f"UserContext has a Token and {' and '.join(others)}; give either the token, or user "
            "and groups.",
        )
    return token


def read_caller(
    user_context: Mapping[str, Any] | None,
    settings: UserContextSettings,
    from_token: Caller | None = None,
) -> Caller | None:
    """The caller of a request; None may see everything.

    `from_token` is the caller of the verified token. Without a token, the policy USER_TOKEN allows
    only public documents, and ignores a user and groups, which anybody can claim. The policy
    ATTRIBUTE_FILTER accepts them, and allows everything to a request without any.
    """
    if from_token is not None:
        return from_token
    if settings.policy == "USER_TOKEN":
        return Caller()
    context = user_context or {}
    if not any(context.get(name) for name in _IDENTITY):
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
    """The filter for the documents that the caller may see; None if they may see everything."""
    if caller is None:
        return None
    allow_fields = (
        settings.user_allow,
        settings.group_allow,
        settings.data_source_group_allow,
    )
    public = {"bool": {"must_not": [{"exists": {"field": field}} for field in allow_fields]}}
    permissions = _match(
        caller, settings.user_allow, settings.group_allow, settings.data_source_group_allow
    )
    visible: dict[str, Any] = {
        "filter": [{"bool": {"minimum_should_match": 1, "should": [public, *permissions]}}]
    }
    denials = _match(
        caller, settings.user_deny, settings.group_deny, settings.data_source_group_deny
    )
    if denials:
        visible["must_not"] = denials
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
