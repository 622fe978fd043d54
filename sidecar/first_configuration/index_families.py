"""Puts indexes of one kind together, and finds the names and patterns for their routes.

`logs-2025.01` and `logs-2025.02` are one family, so are `products_v1` and `products_v2`: what
follows the last letters is a date or a number. Names alone decide here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

MOST_FAMILIES: Final = 40
MOST_NAMES: Final = 20
"""Maximum number of names that the routes of one family list."""

_MOST_INDICES: Final = 5000
# Programs that come with OpenSearch write these.
_SYSTEM: Final = ("security-auditlog-", "top_queries-", "opensearch_dashboards_sample_data_task")
_NUMBER: Final = re.compile(r"(?:[-_.]?(?:v?\d+|\d{4}[-.]\d{2}(?:[-.]\d{2})?))+$")
_DATE: Final = re.compile(r"\d{4}[-._]?\d{2}")


@dataclass(frozen=True, slots=True)
class Family:
    """Indexes of one kind, and how clients may name them.

    `routes` has names and patterns, each with a note for the reader, which may be empty. `reads`
    are the names to read them by.
    """

    name: str
    indices: tuple[str, ...]
    reads: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Patterns:
    """Finds patterns that match the indexes of one kind, and nothing else in the cluster.

    `everything`: every name in the cluster; None if that is not known, so that only a pattern that
    a person has named is one (`given`).
    """

    everything: frozenset[str] | None
    given: frozenset[str] = frozenset()

    def find(self, prefix: str, members: Sequence[str], aliases: Collection[str]) -> str | None:
        """`PREFIX*`, with a separator if all members have one; None if it matches others too.

        `aliases`: names of these members, which may match as well.
        """
        separators = {member[len(prefix) : len(prefix) + 1] for member in members}
        separator = separators.pop() if len(separators) == 1 else ""
        pattern = prefix + (separator if separator in ("-", "_", ".") else "") + "*"
        if self.everything is None:
            return pattern if pattern in self.given else None
        others = self.everything.difference(members, aliases)
        return None if any(fnmatchcase(name, pattern) for name in others) else pattern


@dataclass(slots=True)
class Listing:
    """All families, and the reason for each index that belongs to none."""

    families: list[Family] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def list_families(
    resolved: Mapping[str, Any], given: Sequence[str], everything: frozenset[str] | None
) -> Listing:
    """Read OpenSearch's answer to `_resolve/index`.

    `given`: the names and patterns that a person has named; hidden indexes are included then.
    `everything`: every name in the cluster, which a pattern might match; None if that is not known,
    so that only a given pattern is a route.
    """
    named = bool(given)
    patterns = Patterns(everything, frozenset(given))
    listing = Listing()
    streams = {
        str(each["name"]): tuple(map(str, _listed(each.get("backing_indices"))))
        for each in _objects(resolved, "data_streams")
    }
    behind = {index for indices in streams.values() for index in indices}
    aliases = {
        str(each["name"]): tuple(map(str, _listed(each.get("indices"))))
        for each in _objects(resolved, "aliases")
    }
    indices = _choose_indices(resolved, behind, named, listing.left_out)
    if named:
        # Someone who names an alias means the indexes behind it.
        for targets in aliases.values():
            indices += [one for one in targets if one not in behind and one not in indices]
    for stream in sorted(streams):
        if not named and _is_hidden(stream):
            listing.left_out[stream] = "hidden; name it with --index if people search it"
        else:
            listing.families.append(
                Family(stream, (stream,), (stream,), ((stream, "a data stream"),))
            )
    by_stem: dict[str, list[str]] = {}
    for index in sorted(indices):
        by_stem.setdefault(_stem(index), []).append(index)
    for stem, members in by_stem.items():
        listing.families.append(_make_family(stem, members, aliases, patterns, listing.left_out))
    for family in listing.families[MOST_FAMILIES:]:
        for index in family.indices:
            listing.left_out[index] = (
                f"there are more than {MOST_FAMILIES} kinds of indexes; name it with --index"
            )
    del listing.families[MOST_FAMILIES:]
    return listing


def list_names(resolved: Mapping[str, Any]) -> frozenset[str]:
    """Every name in an answer to `_resolve/index`."""
    keys = ("indices", "aliases", "data_streams")
    return frozenset(str(each["name"]) for key in keys for each in _objects(resolved, key))


def _choose_indices(
    resolved: Mapping[str, Any], behind: set[str], named: bool, left_out: dict[str, str]
) -> list[str]:
    chosen: list[str] = []
    for each in _objects(resolved, "indices"):
        name, attributes = str(each["name"]), _listed(each.get("attributes"))
        if name in behind or each.get("data_stream"):
            continue
        if "closed" in attributes:
            left_out[name] = "closed; open it first"
        elif not named and (_is_hidden(name) or "hidden" in attributes):
            left_out[name] = "hidden; name it with --index if people search it"
        elif not named and name.startswith(_SYSTEM):
            left_out[name] = "written by OpenSearch itself"
        elif len(chosen) >= _MOST_INDICES:
            left_out[name] = f"there are more than {_MOST_INDICES} indexes; name it with --index"
        else:
            chosen.append(name)
    return chosen


def _make_family(
    stem: str,
    members: list[str],
    aliases: Mapping[str, tuple[str, ...]],
    patterns: Patterns,
    left_out: dict[str, str],
) -> Family:
    """A family with its routes: its aliases first, which is what clients usually write."""
    within = set(members)
    reaching = {
        alias: targets
        for alias, targets in sorted(aliases.items())
        if targets and within.issuperset(targets)
    }
    rolled = len(members) > 1 or bool(_DATE.search(members[0][len(stem) :]))
    pattern = patterns.find(stem, members, reaching) if rolled else None
    if pattern is None and len(members) > MOST_NAMES:
        # The newest ones have the highest numbers.
        for index in members[:-MOST_NAMES]:
            left_out[index] = f"its kind has more than {MOST_NAMES} indexes without a pattern"
        members = members[-MOST_NAMES:]
    routes = [
        (alias, f"an alias of {targets[-1]}" + (" and others" if len(targets) > 1 else ""))
        for alias, targets in list(reaching.items())[:MOST_NAMES]
        if pattern is None or not fnmatchcase(alias, pattern)
    ]
    if pattern is not None:
        routes.append((pattern, f"{len(members)} indexes, such as {members[-1]}"))
    else:
        routes += [(member, "") for member in members]
    return Family(stem, tuple(members), (pattern,) if pattern else tuple(members), tuple(routes))


def _stem(index: str) -> str:
    """The name without the date or number at its end; the whole name if nothing else remains."""
    stem = _NUMBER.sub("", index[:255])
    return stem.rstrip("-_.") or index


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _objects(resolved: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [
        each for each in _listed(resolved.get(key)) if isinstance(each, dict) and each.get("name")
    ]


def _listed(value: object) -> list[Any]:
    """A list; OpenSearch writes one name without one."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]
