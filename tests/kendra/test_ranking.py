"""The order of documents is the proxy's own, by the fake model and by real weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kendra.collection import INDEX, judgments, load, unload
from tests.kendra.replies import ids
from tests.kendra.serving import INDEX_SETTINGS, UTF_16, Kendra, serving_kendra
from tests.nodes.node import Node
from tests.running import request
from tests.weights import minilm_settings

WINDOW = 50


def proxy_order(served: Kendra, text: str) -> list[str]:
    """What the proxy makes of the search that stands for a plain query text."""
    fields = ["heading", "content", "meta.category.text"]
    query = {"multi_match": {"query": text, "fields": fields}}
    response = request(
        served.sidecar.proxy,
        "POST",
        f"/{INDEX}/_search",
        {"query": query, "size": WINDOW, "_source": ["heading", "content"]},
    )
    assert response.status == 200, response.body
    assert response.values("X-Rescore")[0].startswith("applied;")
    return [hit["_id"] for hit in json.loads(response.body)["hits"]["hits"]]


def query_order(client: Any, index_id: str, text: str) -> list[str]:
    reply = client.query(
        IndexId=index_id, QueryText=text, QueryResultTypeFilter="DOCUMENT", PageSize=100
    )
    return ids(reply)


def retrieve_order(client: Any, index_id: str, text: str) -> list[str]:
    reply = client.retrieve(IndexId=index_id, QueryText=text, PageSize=100)
    return list(dict.fromkeys(item["DocumentId"] for item in reply["ResultItems"]))


def texts(count: int) -> list[str]:
    return [text for text, _ in list(judgments().values())[:count]]


def test_documents_come_in_the_proxys_order(kendra: Kendra) -> None:
    for text in ["copper kettle", "kettles that boil water quickly", *texts(8)]:
        expected = proxy_order(kendra, text)
        assert query_order(kendra.client, UTF_16, text)[: len(expected)] == expected
        # The hundred passages of Retrieve may come from fewer documents, in the same order.
        retrieved = retrieve_order(kendra.client, UTF_16, text)
        assert retrieved[:20] == expected[:20]


@pytest.fixture(scope="module")
def weights(opensearch_3: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kendra]:
    model = minilm_settings()
    load(opensearch_3.url)
    with serving_kendra(
        tmp_path_factory.mktemp("weights"),
        opensearch_3.url,
        {UTF_16: INDEX_SETTINGS},
        model=model,
        deadline_ms=60_000,
        # Each text that the model has not read yet takes it some hundredths of a second.
        rescore_window=20,
    ) as served:
        yield served
    unload(opensearch_3.url)


@pytest.mark.model
def test_real_weights_rank_as_the_proxy_does(weights: Kendra) -> None:
    for text in texts(4):
        expected = proxy_order(weights, text)
        assert query_order(weights.client, UTF_16, text)[: len(expected)] == expected
        assert retrieve_order(weights.client, UTF_16, text)[:10] == expected[:10]


@pytest.mark.model
def test_real_weights_answer_with_a_sentence_of_the_document(weights: Kendra) -> None:
    reply = weights.client.query(
        IndexId=UTF_16, QueryText="which kettle boils water quickly", PageSize=100
    )
    answers = [item for item in reply["ResultItems"] if item["Type"] == "ANSWER"]
    assert answers
    assert "kettle" in answers[0]["DocumentExcerpt"]["Text"]
    unrelated = weights.client.query(
        IndexId=UTF_16, QueryText="zoning law of medieval cathedrals", PageSize=100
    )
    assert not [item for item in unrelated["ResultItems"] if item["Type"] == "ANSWER"]
