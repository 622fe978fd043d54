"""Which requests are searches of a routed index, and whose plan they get; all other requests of
the proxy listener pass unread, so the first look at a path has to be quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.config import Route
from sidecar.opensearch.url_parameters import BadUrl, decode_escapes


@dataclass(frozen=True, slots=True)
class RoutedSearch:
    """A search that has a plan.

    `plan` is the plan's name, `indices` the names of the index list, decoded; none for
    `/_search`, which searches everything.
    """

    plan: str
    indices: tuple[str, ...]


def find_route(method: bytes, target: bytes, routes: Sequence[Route]) -> RoutedSearch | None:
    """Give a request its route, or None when it is to be forwarded unread.

    A search is GET or POST of exactly `/_search` or `/INDICES/_search`; many other paths end in
    `/_search` and are no searches of an index. Every name of a comma list has to lead to the same
    plan. Runs for every request of the proxy listener.
    """
    path = target.partition(b"?")[0]
    if not path.endswith(b"/_search"):
        return None
    names = _names_in(method, path)
    plan = None if names is None else find_plan(names, routes)
    return None if names is None or plan is None else RoutedSearch(plan, names)


def find_template_route(
    method: bytes, target: bytes, routes: Sequence[Route]
) -> RoutedSearch | None:
    """The same for `/_search/template` and `/INDICES/_search/template`."""
    search = _target_of_search(target)
    return None if search is None else find_route(method, search, routes)


def find_index(method: bytes, target: bytes) -> str | None:
    """The one name of `/NAME/_search`; None for a list of names, and for all other requests."""
    path = target.partition(b"?")[0]
    names = _names_in(method, path) if path.endswith(b"/_search") else None
    return names[0] if names is not None and len(names) == 1 else None


def find_template_index(method: bytes, target: bytes) -> str | None:
    """The same for `/NAME/_search/template`."""
    search = _target_of_search(target)
    return None if search is None else find_index(method, search)


def find_multi_search(method: bytes, target: bytes) -> tuple[str, ...] | None:
    """The index list that the items of an `_msearch` without one of their own have.

    It is empty for `/_msearch`, which searches everything; None for all other requests.
    """
    path = target.partition(b"?")[0]
    return _names_in(method, path) if path.endswith(b"/_msearch") else None


def find_plan(names: Sequence[str], routes: Sequence[Route]) -> str | None:
    """The plan that every name of an index list leads to; no names at all mean everything."""
    if not names:
        return _plan_as_spelled("*", routes)
    plans = {_plan_of(name, routes) for name in names}
    plan = plans.pop()
    return None if plans else plan


def _target_of_search(target: bytes) -> bytes | None:
    """The target of a search by template as if it were a plain search."""
    path, mark, query = target.partition(b"?")
    if not path.endswith(b"/_search/template"):
        return None
    return path.removesuffix(b"/template") + mark + query


def _names_in(method: bytes, path: bytes) -> tuple[str, ...] | None:
    """The index list of `/ENDPOINT` or `/INDICES/ENDPOINT`, decoded; None for another path."""
    if method not in (b"GET", b"POST"):
        return None
    # As in OpenSearch the path is split before its escapes are decoded: `a%2Fb` is one segment.
    segments = path.split(b"/")
    if segments[0] or len(segments) > 3 or b"#" in path:
        return None
    if len(segments) == 2:
        return ()
    try:
        expression = decode_escapes(segments[1], plus_is_blank=False)
    except BadUrl:
        return None
    return tuple(expression.split(","))


def _plan_of(name: str, routes: Sequence[Route]) -> str | None:
    if not name:
        return None
    # What stands for indices unknown here counts only if the operator wrote the very same; a
    # name with a leading underscore is no index but one of OpenSearch's own paths.
    if name[0] in "-<_" or any(sign in name for sign in "*?:"):
        return _plan_as_spelled(name, routes)
    return next((route.plan for route in routes if route.matches(name)), None)


def _plan_as_spelled(name: str, routes: Sequence[Route]) -> str | None:
    return next((route.plan for route in routes if route.index == name), None)
