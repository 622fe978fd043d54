"""A sidecar that serves the collection as Kendra indexes, over each OpenSearch version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kendra.collection import load, unload
from tests.kendra.serving import Kendra, serving_kendra
from tests.nodes.node import Node


@pytest.fixture(scope="package")
def loaded(opensearch: Node) -> Iterator[Node]:
    """A node with the collection."""
    load(opensearch.url)
    yield opensearch
    unload(opensearch.url)


@pytest.fixture(scope="package")
def kendra(loaded: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kendra]:
    """The collection with the fake model, which scores a text by its share of the query's words."""
    with serving_kendra(tmp_path_factory.mktemp("kendra"), loaded.url) as served:
        yield served


@pytest.fixture(scope="package")
def client(kendra: Kendra) -> Any:
    """A boto3 client of that sidecar."""
    return kendra.client
