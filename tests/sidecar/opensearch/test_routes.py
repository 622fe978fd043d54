"""Which requests are searches of an index with a route."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.routes import Route
from sidecar.opensearch.routes import SearchCall, find_plan, read_search_call

MOST = 1000

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
        # OpenSearch's router ignores these slashes and commas (3.8.0 and 2.19.1).
        (b"/products/_search/", "shop", ("products",)),
        (b"/products/_search//?q=a", "shop", ("products",)),
        (b"products/_search", "shop", ("products",)),
        (b"products/_search/", "shop", ("products",)),
        (b"/products,/_search", "shop", ("products",)),
    ],
)
def test_a_search_of_a_routed_index_gets_its_plan(
    target: bytes, plan: str, indices: tuple[str, ...]
) -> None:
    for method in (b"GET", b"POST"):
        assert read_search_call(method, target, MOST) == SearchCall("_search", indices)
    assert find_plan(indices, ROUTES) == plan


@pytest.mark.parametrize(
    "target",
    [
        b"/other/_search",
        b"/products,other/_search",
        b"/products,docs-de/_search",  # two plans
        b"/products,,catalog/_search",
        b"/,products/_search",
        b"/,/_search",
        b"//_search",
        b"///_search",
        b"//products/_search",
        b"/products//_search",
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
        b"http://h/products/_search",
        b"/products/_search%2F",
        b"/products/_search/point_in_time",
        b"/products/%5Fsearch",
        b"/products/_s%65arch",
        b"/products%2F_search",
        b"/products/_count?x=/_search",
        b"/_plugins/_ml/models/_search",
        b"/_plugins/_search",
        b"/_search/scroll",
    ],
)
def test_everything_else_is_forwarded_unread(target: bytes) -> None:
    call = read_search_call(b"POST", target, MOST)
    assert call is None or find_plan(call.names, ROUTES) is None


@pytest.mark.parametrize("method", [b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"get"])
def test_only_get_and_post_search(method: bytes) -> None:
    assert read_search_call(method, b"/products/_search", MOST) is None


def test_a_route_of_everything_takes_the_search_of_everything() -> None:
    routes = [Route(index="*", plan="all")]
    for target in (b"/_search?size=1", b"/_search/", b"_search", b"//_search", b"/x/_search"):
        call = read_search_call(b"GET", target, MOST)
        assert call is not None
        assert find_plan(call.names, routes) == "all"
    assert find_plan(("_nodes",), routes) is None
    assert find_plan(("x:y",), routes) is None


def test_the_first_route_that_matches_counts() -> None:
    routes = [Route(index="docs-*", plan="first"), Route(index="docs-de", plan="second")]
    assert find_plan(("docs-de",), routes) == "first"


@pytest.mark.parametrize("endpoint", ["_msearch", "_search/template", "_msearch/template"])
@pytest.mark.parametrize(
    ("spelled", "names"),
    [
        ("/{}", ()),
        ("/{}?pretty", ()),
        ("{}/", ()),
        ("/products/{}", ("products",)),
        ("products/{}//?x=/_search", ("products",)),
        ("/products%2Cother,docs-*/{}?x=/_search", ("products", "other", "docs-*")),
    ],
)
def test_the_other_endpoints(endpoint: str, spelled: str, names: tuple[str, ...]) -> None:
    target = spelled.format(endpoint).encode()
    call = SearchCall(endpoint, names)  # type: ignore[arg-type]
    assert call == read_search_call(b"POST", target, MOST)
    assert call == read_search_call(b"GET", target, MOST)
    assert read_search_call(b"HEAD", target, MOST) is None


@pytest.mark.parametrize(
    "target",
    [
        b"/a/products/_msearch",
        b"/products#/_msearch",
        b"/%FF/_msearch",
        b"/x?/_msearch",
        b"/products/_search//template",
        b"/products/_search/templat%65",
        b"/products/_search/template/x",
        b"/_search/template/x",
        b"/_search/scroll",
        b"/" + b"/" * 100_000 + b"_search",
    ],
)
def test_what_is_no_search(target: bytes) -> None:
    assert read_search_call(b"POST", target, MOST) is None


def test_every_name_of_a_list_leads_to_the_plan() -> None:
    assert find_plan(("products", "catalog"), ROUTES) == "shop"
    assert find_plan(("products", "docs-de"), ROUTES) is None
    assert find_plan(("products", "other"), ROUTES) is None
    assert find_plan(("",), ROUTES) is None
    assert find_plan((), ROUTES) is None
    assert find_plan((), [Route(index="*", plan="all")]) == "all"


@pytest.mark.parametrize("comma", [b",", b"%2C", b"%2c"])
def test_of_a_long_list_only_the_first_name_is_read(comma: bytes) -> None:
    names = comma.join([b"products"] * MOST)
    whole = read_search_call(b"GET", b"/" + names + b"/_search", MOST)
    assert whole == SearchCall("_search", ("products",) * MOST)
    cut = read_search_call(b"GET", b"/" + names + comma + b"x/_search", MOST)
    assert cut == SearchCall("_search", ("products",), cut=True)


def test_a_list_of_long_names_is_cut_too() -> None:
    target = b"/products," + b"%41" * 100_000 + b"/_search"
    assert read_search_call(b"GET", target, MOST) == SearchCall("_search", ("products",), cut=True)
    assert find_plan(("A" * 255,), [Route(index="A*", plan="all")]) == "all"
    name = b"%41" * 255
    call = read_search_call(b"GET", b"/" + name + b"/_search", 1)
    assert call == SearchCall("_search", ("A" * 255,))


@given(method=st.sampled_from([b"GET", b"POST"]), target=st.binary())
def test_no_target_raises(method: bytes, target: bytes) -> None:
    for endpoint in (b"/_search", b"/_msearch", b"/_search/template", b""):
        for routed in (target, b"/" + target):
            read_search_call(method, routed + endpoint, 3)
