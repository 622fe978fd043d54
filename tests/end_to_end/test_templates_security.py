"""Searches by template of users with other rights: each gets what they get directly."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import load_collection
from tests.raw_http import mask_took
from tests.running import Sidecar, request, running_sidecar

PLAN = {"rescore_window": 20, "deadline_ms": 20_000, "templates": True}
TEMPLATE = {
    "source": '{"query":{"match":{"title":"{{words}}"}},"size":3}',
    "params": {"words": "quarterly report"},
}


@pytest.fixture(scope="module", params=["secure_3", "secure_2"])
def node(request: pytest.FixtureRequest) -> SecureNode:
    found: SecureNode = request.getfixturevalue(request.param)
    load_collection(found)
    return found


@pytest.fixture
def sidecar(node: SecureNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    upstream = {"urls": [node.url], "tls": {"ca_file": str(node.ca)}}
    folder = tmp_path_factory.mktemp("sidecar")
    routes = {"docs1": "words", "other1": "words"}
    main = {"upstream": upstream}
    with running_sidecar(folder, node.url, {"words": PLAN}, routes, main=main) as running:
        yield running


@pytest.mark.parametrize("index", ["docs1", "other1"])
@pytest.mark.parametrize("user", ["admin", "alice", "bob", "carol", None])
def test_each_user_gets_what_they_get_directly(
    node: SecureNode,
    sidecar: Sidecar,
    user: str | None,
    index: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    target = f"/{index}/_search/template"
    direct = node.request(user, "POST", target, TEMPLATE)
    renders = node.request(user, "POST", "/_render/template", TEMPLATE).status == 200
    for _ in range(3):
        fields = {} if user is None else {"Authorization": node.basic(user)}
        through = request(sidecar.proxy, "POST", target, TEMPLATE, fields)
        (said,) = through.values("X-Rescore")
        assert through.status == direct.status
        if direct.status != 200:
            assert through.body == direct.body
        elif not renders:
            assert mask_took(through.body) == mask_took(direct.body)
        if not renders:
            assert said == "skipped; reason=render_refused; plan=words"
        elif direct.status == 403:
            assert said == "skipped; reason=refused; plan=words"
        else:
            assert said.startswith("applied; ")
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    lessons = [one for one in caplog.messages if "render templates" in one]
    assert len(lessons) == (0 if renders else 1)
