"""Which requests are searches, and which plan an index list gets.

This runs for all requests of the proxy listener, so the first check of a path must be quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sidecar.config.routes import Route
from sidecar.opensearch_rules.index_lists import cut_first_name, is_long_list
from sidecar.spans.url_parameters import BadUrl, decode_escapes

Endpoint = Literal["_search", "_search/template", "_msearch", "_msearch/template"]

_ENDPOINTS: Final[dict[tuple[bytes, ...], Endpoint]] = {
    (b"_search",): "_search",
    (b"_search", b"template"): "_search/template",
    (b"_msearch",): "_msearch",
    (b"_msearch", b"template"): "_msearch/template",
}

_PATTERN_SIGNS: Final = frozenset("*?:")


@dataclass(frozen=True, slots=True)
class SearchCall:
    """A request for one of OpenSearch's search endpoints.

    `names` is the index list in its path, decoded. It is empty for `/_search`, which searches all
    indexes. If the list has too many names, `cut` is true and `names` has only the first one.
    """

    endpoint: Endpoint
    names: tuple[str, ...]
    cut: bool = False


def read_search_call(method: bytes, target: bytes, max_names: int) -> SearchCall | None:
    """Read a request's first line; None if OpenSearch does not treat the request as a search.

    Runs for every request of the proxy listener. A search is GET or POST of `/ENDPOINT` or
    `/INDICES/ENDPOINT`. Other paths that end in `/_search` are no searches.
    """
    # Nearly all requests end here, so this check is the cheapest one.
    if b"search" not in target or method not in (b"GET", b"POST"):
        return None
    path = target.partition(b"?")[0].rstrip(b"/")
    if not path.endswith((b"search", b"search/template")) or b"#" in path:
        return None
    # As in OpenSearch's router (`PathTrie`): slashes at the end do not count, and the slash at the
    # beginning may be missing. The path is split before its escapes are decoded, so `a%2Fb` is one
    # segment, and `%5Fsearch` is no endpoint.
    segments = path.removeprefix(b"/").split(b"/", 3)
    endpoint = _ENDPOINTS.get(tuple(segments))
    if endpoint is not None:
        return SearchCall(endpoint, ())
    endpoint = _ENDPOINTS.get(tuple(segments[1:]))
    if endpoint is None:
        return None
    # Commas at the end do not count either, and an empty list means all indexes.
    encoded_list = segments[0].rstrip(b",")
    if not encoded_list:
        return None if segments[0] else SearchCall(endpoint, ())
    cut = is_long_list(encoded_list, max_names)
    if cut:
        encoded_list = cut_first_name(encoded_list)
    try:
        names = decode_escapes(encoded_list, plus_is_blank=False).split(",")
    except BadUrl:
        return None
    return SearchCall(endpoint, tuple(names), cut)


def find_plan(names: Sequence[str], routes: Sequence[Route]) -> str | None:
    """The plan of an index list, or None if its names do not all have the same one.

    It is the first plan of a route with several. An empty list means all indexes.
    """
    route = find_route(names, routes)
    return None if route is None else route.plans[0]


def find_route(names: Sequence[str], routes: Sequence[Route]) -> Route | None:
    """The route of an index list, or None if its names do not all have the same plan or plans.

    If several routes have the same plans, it is the first of them by index.
    """
    if not names:
        return _find_literal("*", routes)
    found = [_find_for_name(name, routes) for name in dict.fromkeys(names)]
    choices = {route and _list_choices(route) for route in found}
    if len(choices) > 1:
        return None
    return min((route for route in found if route), key=lambda route: route.index, default=None)


def _list_choices(route: Route) -> tuple[object, ...]:
    split = route.split and tuple(route.split.items())
    return route.plan, split, route.by and repr(route.by), route.interleave


def _find_for_name(name: str, routes: Sequence[Route]) -> Route | None:
    if not name:
        return None
    # A pattern stands for indexes that are not known here. It has a plan only if a route has the
    # same text. A name with a leading underscore is a path of OpenSearch's own.
    if name[0] in "-<_" or not _PATTERN_SIGNS.isdisjoint(name):
        return _find_literal(name, routes)
    return next((route for route in routes if route.matches(name)), None)


def _find_literal(name: str, routes: Sequence[Route]) -> Route | None:
    return next((route for route in routes if route.index == name), None)
