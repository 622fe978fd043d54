"""The page's parts that need no server: texts, plans, links, reasons, the last hour."""

from __future__ import annotations

from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pipelines.plan import Plan
from pipelines.words import different_words
from sidecar.config.main_file import Address, Config, MainFile
from sidecar.opensearch.outcome import REASONS
from sidecar.page.collection import PageCollection
from sidecar.page.hit_texts import PASSAGE, TITLE, cut, mark_words, show_source
from sidecar.page.links import write_link
from sidecar.page.live_samples import MINUTES, LiveSamples
from sidecar.page.plan_texts import list_plans
from sidecar.page.reason_fixes import FIXES
from sidecar.page.requests import ShownFields

PLAN = Plan.model_validate(
    {"document": {"title": "t", "body": "b"}, "stages": [{"model": "m"}], "rescore_window": 7}
)


def test_texts_are_cut_and_have_no_lone_surrogates() -> None:
    assert cut("a  b\nc", TITLE) == "a b c"
    assert len(cut("x" * 1_000_000, TITLE)) == TITLE
    assert len(cut(" " * 1_000_000 + "x", TITLE)) <= TITLE
    assert cut("\ud800 a", TITLE) == "\ufffd a"
    pieces = mark_words("red " * 1000, different_words("red"))
    assert sum(len(text) for text, _ in pieces) == PASSAGE + 1
    assert pieces[:2] == [["red", 1], [" ", 0]]


def test_only_images_that_can_do_no_harm_are_shown() -> None:
    for source, image in (
        ("https://example.org/a.png", "https://example.org/a.png"),
        ("javascript:alert(1)", None),
        ("http://router/reboot", None),
        ("//example.org/a.png", None),
    ):
        assert show_source({"i": source}, ShownFields(image="i"))["image"] == image
    assert show_source(None, ShownFields(("t",), ("f",), "i"))["fields"] == []


def test_every_fix_is_for_a_reason_that_exists() -> None:
    assert FIXES.keys() <= REASONS.keys()


def test_plans_have_the_text_of_their_files(tmp_path: Path) -> None:
    main = MainFile.model_validate({"upstream": {"urls": ["http://127.0.0.1:9"]}})
    config = Config(main, {"a": PLAN, "made": PLAN})
    without_files = list_plans(config, tmp_path)
    assert [plan["name"] for plan in without_files] == ["a", "made"]
    assert Plan.model_validate(yaml.safe_load(without_files[0]["yaml"])) == PLAN

    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "a.yml").write_text("# mine\n")
    (plan,) = list_plans(config, tmp_path)
    assert (plan["name"], plan["yaml"]) == ("a", "# mine\n")


def test_a_link_has_the_state_behind_its_hash() -> None:
    address = Address("127.0.0.1", 9280)
    assert write_link(address) == "http://127.0.0.1:9280/ui/"
    assert write_link(address, q="a b&c", body="") == "http://127.0.0.1:9280/ui/#q=a%20b%26c"


def test_a_collection_keeps_the_order_of_its_queries() -> None:
    offered = PageCollection("docs", "p", {"query": {}}, {"2": "b", "1": "a"}, {"1": {"d": 1}})
    assert offered.as_json()["queries"] == [["2", "b"], ["1", "a"]]


def test_the_last_hour_counts_from_its_oldest_sample() -> None:
    registry = CollectorRegistry()
    searches = Counter("rescore_searches", "-", ("plan", "status", "reason"), registry=registry)
    times = Histogram("rescore_seconds", "-", ("plan",), buckets=(0.1, 1), registry=registry)
    now = [0.0]
    live = LiveSamples(registry, lambda: now[0])
    searches.labels("p", "applied", "").inc(5)
    live.take()
    for _ in range(MINUTES + 10):
        now[0] += 60
        searches.labels("p", "skipped", "sort").inc()
        live.take()
    times.labels("p").observe(0.05)
    times.labels("p").observe(0.5)
    Histogram("rescore_shadow_overlap_at_10", "-", buckets=(0.5,), registry=registry).observe(0.8)
    Counter("relay_errors", "-", registry=registry).inc()
    Counter("other", "-", registry=registry).inc()
    Gauge("rescore_stepped_back", "-", ("plan",), registry=registry).labels("p").set(1)
    described = live.describe()
    assert described["seconds"] == 60 * MINUTES
    (reason,) = described["reasons"]
    assert (reason["reason"], reason["count"]) == ("sort", MINUTES)
    assert reason["fix"]
    (step,) = described["steps"]
    assert (step["count"], step["p50_ms"], step["p95_ms"]) == (2, 100, 1000)
    (overlap,) = described["means"]
    assert (overlap["name"], overlap["mean"]) == ("rescore_shadow_overlap_at_10", 0.8)
    assert [one["name"] for one in described["counts"]] == ["relay_errors_total"]
    (stepped_back,) = described["present"]
    assert (stepped_back["labels"], stepped_back["value"]) == ({"plan": "p"}, 1)
    assert {minute["searches"].get("skipped", 0) for minute in described["minutes"]} == {0, 1}
