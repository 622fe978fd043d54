"""Which requests are searches of a routed index, and whose plan they get."""

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
    if not path.endswith(b"/_search") or method not in (b"GET", b"POST"):
        return None
    # As in OpenSearch the path is split before its escapes are decoded: `a%2Fb` is one segment.
    segments = path.split(b"/")
    if len(segments) == 2:
        plan = _plan_as_spelled("*", routes)
        return None if plan is None else RoutedSearch(plan, ())
    if len(segments) != 3 or segments[0] or b"#" in path:
        return None
    try:
        expression = decode_escapes(segments[1], plus_is_blank=False)
    except BadUrl:
        return None
    indices = tuple(expression.split(","))
    plans = {_plan_of(name, routes) for name in indices}
    plan = plans.pop()
    return None if plans or plan is None else RoutedSearch(plan, indices)


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
