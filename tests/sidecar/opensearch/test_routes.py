"""Which requests are searches of a routed index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config import Route
from sidecar.opensearch.routes import (
    RoutedSearch,
    find_multi_search,
    find_plan,
    find_route,
    find_template_route,
)

ROUTES = [
    Route(index="products", plan="shop"),
    Route(index="docs-*", plan="docs"),
    Route(index="catalog", plan="shop"),
    Route(index="<logs-{now/d}>", plan="logs"),
    Route(index="remote:books", plan="docs"),
    Route(index="all*", plan="docs"),
]


@pytest.mark.parametrize(
    ("target", "plan", "indices"),
    [
        (b"/products/_search", "shop", ("products",)),
        (b"/products/_search?q=a/b", "shop", ("products",)),
        (b"/docs-de/_search", "docs", ("docs-de",)),
        (b"/products,catalog/_search", "shop", ("products", "catalog")),
        (b"/products%2Ccatalog/_search", "shop", ("products", "catalog")),
        (b"/%70roducts/_search", "shop", ("products",)),
        (b"/docs-*/_search", "docs", ("docs-*",)),
        (b"/%3Clogs-%7Bnow%2Fd%7D%3E/_search", "logs", ("<logs-{now/d}>",)),
        (b"/remote:books/_search", "docs", ("remote:books",)),
    ],
)
def test_a_search_of_a_routed_index_gets_its_plan(
    target: bytes, plan: str, indices: tuple[str, ...]
) -> None:
    assert RoutedSearch(plan, indices) == find_route(b"POST", target, ROUTES)
    assert RoutedSearch(plan, indices) == find_route(b"GET", target, ROUTES)


@pytest.mark.parametrize(
    "target",
    [
        b"/other/_search",
        b"/products,other/_search",
        b"/products,docs-de/_search",  # two plans
        b"/products,/_search",
        b"//_search",
        b"/_search",
        b"/_all/_search",
        b"/*/_search",
        b"/docs-d*/_search",
        b"/product?/_search",
        b"/-products/_search",
        b"/products,-catalog/_search",
        b"/<logs-{now%2Fd}>x/_search",
        b"/remote:products/_search",
        b"/docs-a:b/_search",
        b"/prod+ucts/_search",
        b"/products%/_search",
        b"/products%FF/_search",
        b"/products#/_search",
        b"/products/_doc/_search",
        b"/x/products/_search",
        b"products/_search",
        b"http://h/products/_search",
        b"/products/_search/",
        b"/products/_search/template",
        b"/products/_search/point_in_time",
        b"/products/%5Fsearch",
        b"/products/_msearch",
        b"/products/_count?x=/_search",
        b"/_plugins/_ml/models/_search",
        b"/_plugins/_search",
        b"/_search/scroll",
    ],
)
def test_everything_else_is_forwarded_unread(target: bytes) -> None:
    assert find_route(b"POST", target, ROUTES) is None


@pytest.mark.parametrize("method", [b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"get"])
def test_only_get_and_post_search(method: bytes) -> None:
    assert find_route(method, b"/products/_search", ROUTES) is None


def test_a_route_of_everything_takes_the_search_of_everything() -> None:
    routes = [Route(index="*", plan="all")]
    assert RoutedSearch("all", ()) == find_route(b"GET", b"/_search?size=1", routes)
    assert RoutedSearch("all", ("x",)) == find_route(b"GET", b"/x/_search", routes)
    assert find_route(b"GET", b"/_nodes/_search", routes) is None
    assert find_route(b"GET", b"/x:y/_search", routes) is None


def test_the_first_route_that_matches_counts() -> None:
    routes = [Route(index="docs-*", plan="first"), Route(index="docs-de", plan="second")]
    assert RoutedSearch("first", ("docs-de",)) == find_route(b"GET", b"/docs-de/_search", routes)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (b"/_msearch", ()),
        (b"/_msearch?pretty", ()),
        (b"/products/_msearch", ("products",)),
        (b"/products%2Cother,docs-*/_msearch?x=/_search", ("products", "other", "docs-*")),
    ],
)
def test_a_multi_search_and_where_its_items_search_by_default(
    target: bytes, names: tuple[str, ...]
) -> None:
    assert names == find_multi_search(b"POST", target)
    assert names == find_multi_search(b"GET", target)
    assert find_multi_search(b"HEAD", target) is None


@pytest.mark.parametrize(
    "target",
    [
        b"/products/_search",
        b"/_msearch/template",
        b"/products/_msearch/",
        b"/a/products/_msearch",
        b"/products#/_msearch",
        b"/%FF/_msearch",
        b"_msearch/_msearch",
        b"/x?/_msearch",
    ],
)
def test_what_is_no_multi_search(target: bytes) -> None:
    assert find_multi_search(b"POST", target) is None


def test_every_name_of_a_list_leads_to_the_plan() -> None:
    assert find_plan(("products", "catalog"), ROUTES) == "shop"
    assert find_plan(("products", "docs-de"), ROUTES) is None
    assert find_plan(("products", "other"), ROUTES) is None
    assert find_plan(("",), ROUTES) is None
    assert find_plan((), ROUTES) is None
    assert find_plan((), [Route(index="*", plan="all")]) == "all"


def test_a_search_by_template_gets_the_plan_of_a_search() -> None:
    shop = RoutedSearch("shop", ("products",))
    assert find_template_route(b"GET", b"/products/_search/template?pretty", ROUTES) == shop
    everything = [Route(index="*", plan="all")]
    expected = RoutedSearch("all", ())
    assert find_template_route(b"POST", b"/_search/template", everything) == expected
    for target in (
        *(b"/products/_search", b"/other/_search/template", b"/products/_msearch/template"),
        *(b"/_search/template", b"/products/_search/template/x", b"/products/_search/template/"),
    ):
        assert find_template_route(b"POST", target, ROUTES) is None
    assert find_template_route(b"PUT", b"/products/_search/template", ROUTES) is None


@given(method=st.sampled_from([b"GET", b"POST"]), target=st.binary())
def test_no_target_raises(method: bytes, target: bytes) -> None:
    for routed in (target, b"/" + target + b"/_search"):
        find_route(method, routed, [Route(index="*", plan="all")])
        find_multi_search(method, routed.replace(b"_search", b"_msearch"))
        find_template_route(method, routed + b"/template", [Route(index="*", plan="all")])
