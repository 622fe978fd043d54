"""Reads searches and clicks that are stored in the schema of User Behavior Insights (UBI 1.x).

`ubi_queries` has one document per search: `query_id`, `user_query`, `client_id`, and the ids of the
page's hits in `query_response_hit_ids`. The sidecar adds `query_attributes`: which plan made the
order, or which two plans were interleaved, and the team of each hit. `ubi_events` has one document
per action: `query_id`, `action_name`, and the hit in `event_attributes.object.object_id` or its
rank in `event_attributes.position.ordinal`.
Source: https://docs.opensearch.org/latest/search-plugins/ubi/schemas/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sidecar.evaluation.impressions import MOST_HITS, MOST_PAGES, Impression
from sidecar.warming.index_reading import DocumentPage, IndexUnreadable

QUERY_FIELDS = (
    *("query_id", "user_query", "client_id", "query_response_hit_ids", "query_attributes"),
)
EVENT_FIELDS = ("query_id", "action_name", "event_attributes")
MOST_EVENTS = 5_000_000

_PAGE = 1000


class StoredIndex(Protocol):
    """An index that is read from its first document to its last, as `IndexReading` does."""

    def read_page(self, number: int, size: int) -> DocumentPage: ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Two plans that were interleaved."""

    a: str
    b: str


@dataclass(slots=True)
class UbiSearch:
    """One page of hits, how it was made, and the places (counted from 0) that were clicked.

    `plan` is None if the sidecar did not say. `teams` has one letter for each hit, `a` or `b` for
    the plan that it belongs to.
    """

    query_id: str
    query_text: str
    client: str
    shown: tuple[str, ...]
    plan: str | None
    pair: Pair | None
    teams: str
    clicked: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class UbiRecords:
    """All searches, and how many clicks belong to none of them or to none of their hits."""

    searches: tuple[UbiSearch, ...]
    clicks: int
    lost_clicks: int

    def impressions(self) -> Iterator[Impression]:
        """The pages with a query text and hits, as a click log has them."""
        for one in self.searches:
            if one.query_text and one.shown:
                yield Impression(one.query_text, one.shown, frozenset(one.clicked))


def read_ubi(queries: StoredIndex, events: StoredIndex, action: str = "click") -> UbiRecords:
    """Read both indexes and join them by `query_id`; `action` is the `action_name` of a click.

    Documents that are not of the schema are left out. Raises IndexUnreadable, also for more
    documents than are read at most.
    """
    searches: list[UbiSearch] = []
    by_query: dict[str, list[UbiSearch]] = {}
    for source in _documents(queries, MOST_PAGES, "searches"):
        search = _read_search(source)
        if search is not None:
            searches.append(search)
            by_query.setdefault(search.query_id, []).append(search)
    clicks = lost = 0
    for source in _documents(events, MOST_EVENTS, "events"):
        if source.get("action_name") != action:
            continue
        clicks += 1
        lost += not _count_click(by_query.get(str(source.get("query_id")), []), source)
    return UbiRecords(tuple(searches), clicks, lost)


def _documents(reading: StoredIndex, most: int, name: str) -> Iterator[Mapping[str, Any]]:
    number: int | None = 0
    count = 0
    while number is not None:
        page = reading.read_page(number, _PAGE)
        for hit in page.hits:
            count += 1
            if count > most:
                raise IndexUnreadable(
                    f"there are more than {most:,} {name}; copy the ones to judge into an index of"
                    " their own, and name it"
                )
            yield hit.source
        number = page.next_number


def _read_search(source: Mapping[str, Any]) -> UbiSearch | None:
    query_id, shown = source.get("query_id"), source.get("query_response_hit_ids")
    if not isinstance(query_id, str) or not query_id:
        return None
    shown = [shown] if isinstance(shown, str) else shown
    if not isinstance(shown, list) or not all(isinstance(one, str) for one in shown):
        return None
    attributes = source.get("query_attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    pair, teams = _read_teams(attributes)
    plan = attributes.get("rescore_plan")
    client, text = source.get("client_id"), source.get("user_query")
    return UbiSearch(
        query_id,
        " ".join(text.split()) if isinstance(text, str) else "",
        # Without a client, each search counts as one user's.
        client if isinstance(client, str) and client else f"query {query_id}",
        tuple(shown[:MOST_HITS]),
        plan if isinstance(plan, str) else None,
        pair,
        teams,
    )


def _read_teams(attributes: Mapping[str, Any]) -> tuple[Pair | None, str]:
    """The interleaved plans and the hits' teams; None and no teams if either is missing."""
    pair, teams = attributes.get("rescore_interleave"), attributes.get("rescore_teams")
    if not isinstance(pair, dict) or not isinstance(teams, str):
        return None, ""
    a, b = pair.get("a"), pair.get("b")
    return (Pair(a, b), teams) if isinstance(a, str) and isinstance(b, str) else (None, "")


def _count_click(searches: list[UbiSearch], event: Mapping[str, Any]) -> bool:
    """Note a click in the search that showed its hit; returns whether there is one."""
    attributes = event.get("event_attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    clicked, position = attributes.get("object"), attributes.get("position")
    document = clicked.get("object_id") if isinstance(clicked, dict) else None
    ordinal = position.get("ordinal") if isinstance(position, dict) else None
    for search in searches:
        if document is not None and str(document) in search.shown:
            search.clicked.add(search.shown.index(str(document)))
            return True
    if document is not None or not isinstance(ordinal, int) or len(searches) != 1:
        return False
    if not 1 <= ordinal <= len(searches[0].shown):
        return False
    searches[0].clicked.add(ordinal - 1)
    return True
