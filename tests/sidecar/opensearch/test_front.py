"""What the front door takes out of the stream, and what it lets pass though it would have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.plan import Plan
from sidecar.config import Config, MainFile
from sidecar.metrics import Metrics
from sidecar.opensearch.front import SearchFront
from sidecar.opensearch.plugin_ext import PLUGIN_PLAN
from sidecar.opensearch.plugin_settings_file import PluginSettingsFile
from sidecar.relay.front import Answer, Forward, Request, Response
from sidecar.relay.heads import RequestHead, parse_request_head
from sidecar.split_documents import SplitDocuments

PLAN = {"document": {"body": "t"}, "stages": [{"model": "m"}]}
PLANS = {
    "shop": Plan.model_validate(PLAN),
    "rendered": Plan.model_validate({**PLAN, "templates": True}),
    PLUGIN_PLAN: Plan.model_validate({**PLAN, "templates": True}),
}


class Unused:
    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        raise AssertionError("nothing is to be sent")


def front(routes: Sequence[tuple[str, str]]) -> SearchFront:
    main = MainFile.model_validate(
        {
            "upstream": {"urls": ["http://127.0.0.1:9200"]},
            "routes": [{"index": index, "plan": plan} for index, plan in routes],
        }
    )
    return SearchFront(Config(main, PLANS), Unused(), lambda: None, SplitDocuments(1), Metrics())


ROUTED = [("products", "shop"), ("docs", "rendered")]


def head(target: str, method: str = "POST") -> RequestHead:
    fields = "Host: x\r\nContent-Type: application/json\r\n\r\n"
    return parse_request_head(f"{method} {target} HTTP/1.1\r\n{fields}".encode())


@pytest.mark.parametrize(
    ("target", "taken"),
    [
        ("/products/_search", True),
        ("/products/_search/template", False),
        ("/docs/_search/template", True),
        ("/docs,products/_search/template", False),
        ("/_msearch", True),
        ("/other/_msearch", True),
        ("/docs/_msearch/template", False),
        ("/other/_search", False),
        ("/products/_doc/1", False),
    ],
)
def test_what_is_taken(target: str, taken: bool) -> None:
    assert (front(ROUTED).takes(head(target)) is not None) == taken
    assert front(ROUTED).takes(head(target, "DELETE")) is None
    assert front([]).takes(head(target)) is None


@pytest.mark.parametrize(
    ("target", "plan"),
    [
        ("/products/_search", "shop"),
        ("/docs/_search/template", "rendered"),
        ("/products/_msearch", "shop"),
        ("/_msearch", None),
        ("/other/_msearch", None),
    ],
)
def test_a_body_that_is_too_large_is_counted_where_its_plan_is_known(
    target: str, plan: str | None
) -> None:
    door = front(ROUTED)
    line = f"X-Rescore: skipped; reason=body_too_large; plan={plan}".encode()
    assert door.too_large(head(target)) == Forward((line,) if plan else ())
    labels = {"plan": plan or "", "status": "skipped", "reason": "body_too_large"}
    count = door.metrics.registry.get_sample_value("rescore_searches_total", labels)
    assert count == (1 if plan else None)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/docs/_search", b'{"query":{"match":{"t":"x"}}}'),
        ("/docs/_search/template", b'{"source":"{}"}'),
        ("/_msearch", b'{"index":"docs"}\n{"query":{"match":{"t":"x"}}}\n'),
    ],
)
async def test_while_models_are_loaded_all_of_them_pass(target: str, body: bytes) -> None:
    door = front(ROUTED)
    take = door.takes(head(target))
    assert take is not None
    answer: Forward | Answer = await take(Request(head(target), body))
    assert isinstance(answer, Forward)
    assert answer.add[0].startswith(b"X-Rescore: skipped; reason=starting; plan=rendered")
    labels = {"plan": "rendered", "status": "skipped", "reason": "starting"}
    assert door.metrics.registry.get_sample_value("rescore_searches_total", labels) == 1


@pytest.mark.parametrize(
    ("target", "plan"),
    [
        ("/settled/_search", PLUGIN_PLAN),
        ("/settled/_search/template", PLUGIN_PLAN),
        ("/settled/_msearch", PLUGIN_PLAN),
        ("/products/_search", "shop"),
        ("/products,settled/_search", None),
        ("/settle*/_search", None),
        ("/unfinished/_search", None),
        ("/settled/_count", None),
    ],
)
async def test_an_index_with_the_plugins_settings_needs_no_route(
    tmp_path: Path, target: str, plan: str | None
) -> None:
    kept = PluginSettingsFile(tmp_path / "settings.json")
    whole = {"order": 1, "properties.body_field": ("t",)}
    for index in ("settled", "products"):
        await kept.store(index, whole)
    await kept.store("unfinished", {"order": 1})
    door = replace(front([("products", "shop")]), plugin_settings=kept)
    assert (door.takes(head(target)) is not None) == (plan is not None)
    line = f"X-Rescore: skipped; reason=body_too_large; plan={plan}".encode()
    assert door.too_large(head(target)) == Forward((line,) if plan else ())


async def test_an_msearch_is_looked_at_where_some_index_may_be_rescored(tmp_path: Path) -> None:
    kept = PluginSettingsFile(tmp_path / "settings.json")
    door = replace(front([]), plugin_settings=kept)
    assert door.takes(head("/_msearch")) is None
    await kept.store("settled", {"order": 1, "properties.body_field": ("t",)})
    assert door.takes(head("/_msearch")) is not None
