"""Which requests the front takes, and which of these it forwards with a reason."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import sidecar.opensearch.front
from pipelines.plan import Plan
from sidecar.adoption.step_back import StepBacks
from sidecar.config.main_file import Config, MainFile
from sidecar.kendra_plugin.section import PLUGIN_PLAN
from sidecar.kendra_plugin.settings_file import PluginSettingsFile
from sidecar.metrics import Metrics
from sidecar.models.scorers import Models
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.front import SearchFront
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.search_reports import SearchReports
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.front import Answer, Forward, Request, Response
from sidecar.relay.heads import RequestHead, parse_request_head
from sidecar.tracing.tracers import NoTracer

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
    config, metrics = Config(main, PLANS), Metrics()
    lessons = IndexLessons(Callers(), metrics)
    reports = SearchReports(metrics, NoTracer(), main.log, main.listen, 10)
    step_backs = StepBacks(PLANS, metrics, time.monotonic)
    return SearchFront(
        config, Unused(), lambda: None, PassageCutter(1), metrics, lessons, reports, step_backs
    )


ROUTED = [("products", "shop"), ("docs", "rendered")]


def head(target: str, method: str = "POST") -> RequestHead:
    fields = "Host: x\r\nContent-Type: application/json\r\n\r\n"
    return parse_request_head(f"{method} {target} HTTP/1.1\r\n{fields}".encode())


@pytest.mark.parametrize(
    ("target", "taken"),
    [
        ("/products/_search", True),
        ("/products/_search/template", True),  # to say why it is not rescored
        ("/docs/_search/template", True),
        ("/docs,products/_search/template", False),
        ("/_msearch", True),
        ("/other/_msearch", True),
        ("/docs/_msearch/template", True),
        ("/_msearch/template", False),
        ("docs/_search", True),
        ("/docs/_search//", True),
        ("/docs//_search", False),
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
    line = f"X-Rescore: skipped; reason=limits.search_bytes; plan={plan}".encode()
    assert door.too_large(head(target), "limits.search_bytes") == Forward((line,) if plan else ())
    labels = {"plan": plan or "", "status": "skipped", "reason": "limits.search_bytes"}
    count = door.metrics.registry.get_sample_value("rescore_searches_total", labels)
    assert count == (1 if plan else None)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/products/_search/template", "templates"),
        ("products/_search/template/", "templates"),
        ("/products/_msearch/template", "templates"),
        ("/docs/_msearch/template?pretty", "templates"),
        (f"/{'docs,' * 1000}docs/_search", "limits.index_names"),
        (f"/{'docs%2C' * 1000}docs/_search/template", "limits.index_names"),
        (f"/docs,{'x' * 20_000}/_msearch", "limits.index_names"),
    ],
)
async def test_what_is_not_read_says_why(target: str, reason: str) -> None:
    door = front(ROUTED)
    take = door.takes(head(target))
    assert take is not None
    answer = await take(Request(head(target), b"{}"))
    plan = "rendered" if "docs" in target else "shop"
    assert answer == Forward((f"X-Rescore: skipped; reason={reason}; plan={plan}".encode(),))


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


async def test_a_search_is_forwarded_where_the_steps_of_others_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = replace(front(ROUTED), models=lambda: Models({}))
    body = b'{"query":{"match":{"t":"x"}}}'

    async def search(behind_s: float) -> Forward | Answer:
        monkeypatch.setattr(sidecar.opensearch.front, "turns_behind_s", lambda: behind_s)
        take = door.takes(head("/products/_search"))
        assert take is not None
        return await take(Request(head("/products/_search"), body))

    with pytest.raises(AssertionError, match="nothing is to be sent"):
        await search(0.0119)
    busy = await search(0.0121)
    assert busy == Forward((b"X-Rescore: skipped; reason=busy; plan=shop",))


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
    whole: dict[str, int | tuple[str, ...]] = {"order": 1, "properties.body_field": ("t",)}
    for index in ("settled", "products"):
        await kept.store(index, whole)
    await kept.store("unfinished", {"order": 1})
    door = replace(front([("products", "shop")]), plugin_settings=kept)
    assert (door.takes(head(target)) is not None) == (plan is not None)
    line = f"X-Rescore: skipped; reason=limits.search_bytes; plan={plan}".encode()
    assert door.too_large(head(target), "limits.search_bytes") == Forward((line,) if plan else ())


async def test_an_msearch_is_looked_at_where_some_index_may_be_rescored(tmp_path: Path) -> None:
    kept = PluginSettingsFile(tmp_path / "settings.json")
    door = replace(front([]), plugin_settings=kept)
    assert door.takes(head("/_msearch")) is None
    await kept.store("settled", {"order": 1, "properties.body_field": ("t",)})
    assert door.takes(head("/_msearch")) is not None
