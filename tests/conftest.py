"""Fixtures for every test: a real OpenSearch of both supported major versions.

`opensearch` runs a test once with each; `opensearch_3` and `opensearch_2` with that one alone.
`secure_opensearch`, `secure_3` and `secure_2` are the same with TLS, users and roles. `cluster`
has three nodes that a test may kill and has to start again.
A node is shared by the whole test run, so a test uses index names of its own. Tests that use one
get the marker `node` by themselves: `pytest -m "not node"` needs no Java.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.nodes.certificates import make_certificates
from tests.nodes.cluster import Cluster, start_cluster
from tests.nodes.java import NotInstalled
from tests.nodes.node import OPENSEARCH_2, OPENSEARCH_3, Node, Release, start_node
from tests.nodes.secure import SECURE_2, SECURE_3, SecureNode, SecureRelease, start_secure_node

# No test depends on the speed of the machine.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

_NODE_FIXTURES = {
    *("opensearch", "opensearch_3", "opensearch_2"),
    *("secure_opensearch", "secure_3", "secure_2"),
    "cluster",
}

AnyRelease = TypeVar("AnyRelease", Release, SecureRelease)
AnyNode = TypeVar("AnyNode", Node, SecureNode)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and _NODE_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.node)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """A report goes to another process as UTF-8, which has no halves of surrogate pairs."""
    return _without_surrogates((yield))


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case list() | tuple():
            return type(value)(map(_without_surrogates, value))
        case dict():
            return {name: _without_surrogates(one) for name, one in value.items()}
    return value


def _leave_out(reason: str) -> NoReturn:
    # A run that has to prove something must not pass by leaving tests out.
    if os.environ.get("RESCORE_REQUIRE_NODES") == "1":
        raise pytest.fail.Exception(reason, pytrace=False) from None
    pytest.skip(reason)


def _run_node(
    start: Callable[[AnyRelease, Path], AnyNode],
    release: AnyRelease,
    folders: pytest.TempPathFactory,
) -> Iterator[AnyNode]:
    try:
        node = start(release, folders.mktemp(f"opensearch-{release.version}"))
    except NotInstalled as missing:
        _leave_out(f"OpenSearch {release.version} cannot be started: {missing}")
    yield node
    node.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`, `server.pem`, its key and `other.key`; the host is localhost."""
    folder = tmp_path_factory.mktemp("certificates")
    try:
        make_certificates(folder, ["server", "other"])
    except NotInstalled as missing:
        _leave_out(str(missing))
    return folder


@pytest.fixture(scope="session")
def opensearch_3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running OpenSearch 3."""
    yield from _run_node(start_node, OPENSEARCH_3, tmp_path_factory)


@pytest.fixture(scope="session")
def opensearch_2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running OpenSearch 2."""
    yield from _run_node(start_node, OPENSEARCH_2, tmp_path_factory)


@pytest.fixture(
    scope="session",
    params=["opensearch_3", "opensearch_2"],
    ids=[OPENSEARCH_3.version, OPENSEARCH_2.version],
)
def opensearch(request: pytest.FixtureRequest) -> Node:
    """Each supported OpenSearch in turn."""
    node: Node = request.getfixturevalue(request.param)
    return node


@pytest.fixture(scope="session")
def secure_3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureNode]:
    """A running OpenSearch 3 with the security plugin."""
    yield from _run_node(start_secure_node, SECURE_3, tmp_path_factory)


@pytest.fixture(scope="session")
def secure_2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureNode]:
    """A running OpenSearch 2 with the security plugin."""
    yield from _run_node(start_secure_node, SECURE_2, tmp_path_factory)


@pytest.fixture(
    scope="session", params=["secure_3", "secure_2"], ids=[SECURE_3.version, SECURE_2.version]
)
def secure_opensearch(request: pytest.FixtureRequest) -> SecureNode:
    """Each supported OpenSearch with the security plugin in turn."""
    node: SecureNode = request.getfixturevalue(request.param)
    return node


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three running nodes of OpenSearch 3 that are one cluster."""
    try:
        nodes = start_cluster(tmp_path_factory.mktemp("cluster"))
    except NotInstalled as missing:
        _leave_out(f"an OpenSearch cluster cannot be started: {missing}")
    yield nodes
    nodes.stop()
