"""What the demo's tests share: an OpenSearch and a collection that is read in a moment."""

from collections.abc import AsyncIterator

import pytest

from sidecar.demo.collection import SAMPLE, Collection, read_collection
from sidecar.demo.embedded import embedded_opensearch


@pytest.fixture
async def cluster() -> AsyncIterator[str]:
    """URL of an empty embedded OpenSearch."""
    async with embedded_opensearch() as url:
        yield url


@pytest.fixture(scope="session")
def small_collection() -> Collection:
    """The sample's first six queries, their judged documents and 24 others."""
    whole = read_collection(SAMPLE)
    queries = dict(list(whole.queries.items())[:6])
    qrels = {query: whole.qrels[query] for query in queries}
    judged = {document for grades in qrels.values() for document in grades}
    relevant = [document for document in whole.documents if document.id in judged]
    others = [document for document in whole.documents if document.id not in judged][:24]
    return Collection((*relevant, *others), queries, qrels)
