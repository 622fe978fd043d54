"""Two steps ask twice with the caller's own rights: each user gets what they get directly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.opensearch import own_sources, widened_search
from tests.indifferent import indifferent_models
from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import QUERY, load_collection
from tests.raw_http import mask_took
from tests.running import Sidecar, request, running_sidecar

PLAN = {
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "document": {"title": "title"},
    "scores": "positional",
}
USERS = ("admin", "alice", "bob", "carol")


@pytest.fixture
def sidecar(
    secure_opensearch: SecureNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sidecar]:
    load_collection(secure_opensearch)
    # Every search is made in two steps.
    monkeypatch.setattr(own_sources, "_SMALL", 0)
    monkeypatch.setattr(widened_search, "TWO_STEPS_FROM", 0)
    node = secure_opensearch
    main = {
        "upstream": {"urls": [node.url], "tls": {"ca_file": str(node.ca)}},
        "window_cache_s": 60,
    }
    routes = {"docs1": "title", "other1": "title"}
    with running_sidecar(
        tmp_path, node.url, {"title": PLAN}, routes, indifferent_models(), main=main
    ) as running:
        yield running


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"_source": ["title", "secret", "owner"]},
        {"highlight": {"fields": {"title": {}, "owner": {}}}, "fields": ["secret", "owner"]},
        {"version": True, "seq_no_primary_term": True},
    ],
)
def test_each_user_gets_the_bytes_that_they_get_directly(
    secure_opensearch: SecureNode, sidecar: Sidecar, body: dict[str, Any]
) -> None:
    node = secure_opensearch
    for index in ("docs1", "other1"):
        for user in (*USERS, *reversed(USERS)):
            for start in (0, 2, 4):
                whole = {"query": QUERY, "from": start, "size": 2, **body}
                target = f"/{index}/_search"
                direct = node.request(user, "POST", target, whole)
                fields = {"Authorization": node.basic(user)}
                through = request(sidecar.proxy, "POST", target, whole, fields)
                assert through.status == direct.status
                if direct.status == 200:
                    assert through.values("X-Rescore")[0].startswith("applied; ")
                assert mask_took(through.body) == mask_took(direct.body)
