"""A sidecar that serves the collection as Kendra indexes, over each OpenSearch in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kendra.collection import load, unload
from tests.kendra.serving import Kendra, serving_kendra
from tests.nodes.node import Node


@pytest.fixture(scope="package")
def loaded(opensearch: Node) -> Iterator[Node]:
    """A node that has the collection."""
    load(opensearch.url)
    yield opensearch
    unload(opensearch.url)


@pytest.fixture(scope="package")
def kendra(loaded: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kendra]:
    """The collection behind the fake model, which scores by the share of the query's words."""
    with serving_kendra(tmp_path_factory.mktemp("kendra"), loaded.url) as served:
        yield served


@pytest.fixture(scope="package")
def client(kendra: Kendra) -> Any:
    """boto3's client for it."""
    return kendra.client
