"""Which plan a caller gets: in proportion, always the same, by header, cookie or caller."""

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from sidecar.adoption.split import choose_arm, identify_caller, read_split_value
from sidecar.config.routes import ByCookie, ByHeader, Route
from sidecar.config_reading.config_files import ConfigError, read_config
from sidecar.relay.heads import RequestHead, parse_request_head


def head(*lines: str) -> RequestHead:
    return parse_request_head("\r\n".join(["GET /a/_search HTTP/1.1", *lines, "", ""]).encode())


def test_callers_are_divided_in_proportion_and_stay() -> None:
    split = {"new": 5.0, "old": 70.0, "off": 25.0}
    users = [f"user-{number}".encode() for number in range(20_000)]
    arms = [choose_arm(split, "shop", user) for user in users]
    assert arms == [choose_arm(split, "shop", user) for user in users]
    counts = Counter(arms)
    # Four standard deviations of a binomial with 20,000 draws are below 1.3 %.
    for name, percent in split.items():
        assert abs(counts[name] / len(users) * 100 - percent) < 1.3
    # Another index divides the same users independently.
    others = [choose_arm(split, "docs", user) for user in users]
    both = sum(one == other == "new" for one, other in zip(arms, others, strict=True))
    assert both < 0.01 * len(users)


def test_a_larger_share_keeps_those_who_had_it() -> None:
    users = [f"{number}".encode() for number in range(2000)]
    few = {u for u in users if choose_arm({"new": 5.0, "off": 95.0}, "i", u) == "new"}
    more = {u for u in users if choose_arm({"new": 20.0, "off": 80.0}, "i", u) == "new"}
    assert few < more


def test_every_value_gets_an_arm_when_percentages_are_not_exact() -> None:
    thirds = {"a": 33.3333333, "b": 33.3333333, "c": 33.3333334}
    assert {choose_arm(thirds, "i", f"{n}".encode()) for n in range(200)} == {"a", "b", "c"}


SPLIT = {"new": 50.0, "off": 50.0}


def test_the_value_is_the_header_or_cookie_else_the_caller() -> None:
    by_header = Route(index="i", split=SPLIT, by=ByHeader(header="X-User"))
    by_cookie = Route(index="i", split=SPLIT, by=ByCookie(cookie="session"))
    assert read_split_value(by_header, head("X-USER: ann"), "10.0.0.1") == b"ann"
    cookie = head("Cookie: a=b; session=s1", "Authorization: Basic eA==")
    assert read_split_value(by_cookie, cookie, "10.0.0.1") == b"s1"
    for route in (by_header, by_cookie, Route(index="i", split=SPLIT)):
        assert read_split_value(route, head("Authorization: Basic eA=="), "") == b"Basic eA=="
        assert read_split_value(route, head(), "10.0.0.1") == b"10.0.0.1"


def test_a_caller_is_the_same_behind_a_load_balancer_and_with_new_signatures() -> None:
    assert identify_caller(head("X-Forwarded-For: 1.2.3.4, 10.0.0.9"), "10.0.0.1") == b"1.2.3.4"
    signed = "Authorization: AWS4-HMAC-SHA256 Credential=KEY/2026/x, Signature="
    assert identify_caller(head(signed + "1"), "") == identify_caller(head(signed + "2"), "")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "one of plan, split and interleave"),
        ({"plan": "a", "split": {"a": 100}}, "one of plan, split and interleave"),
        ({"split": {"a": 90, "b": 5}}, "together 100, not 95"),
        ({"split": {"off": 100}}, "a plan besides off"),
        ({"plan": "a", "by": "caller"}, "by is for a split"),
        ({"interleave": ["a", "a"]}, "two different plans"),
        ({"split": {"a": 100}, "by": {"header": "X User"}}, "pattern"),
    ],
)
def test_routes_that_say_too_little_or_too_much_are_refused(
    keys: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        Route.model_validate({"index": "i", **keys})


def test_off_may_be_written_without_quotes() -> None:
    # YAML reads a bare `off` as false.
    route = Route.model_validate({"index": "i", "split": {"a": 10, False: 90}})
    assert route.split == {"a": 10, "off": 90}
    assert route.plans == ("a",)
    mixed = Route.model_validate({"index": "i", "interleave": ["a", False]})
    assert (mixed.interleave, mixed.plans, mixed.name) == (("a", "off"), ("a",), "a+off")


PLAN = "document: {body: b}\nstages: [{model: words}]\n"
MAIN = """upstream: {urls: [http://127.0.0.1:9200]}
models: {words: {kind: cross-encoder, source: words, backend: fake}}
"""


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("split: {a: 50, none: 50}", "there is no plan none"),
        ("interleave: [a, wide]", "both need the same rescore_window"),
        ("interleave: [a, shadow]", "has mode: shadow"),
        ("split: {a: 50, off: 50}", "off is OpenSearch's order"),
    ],
)
def test_mistakes_between_a_route_and_its_plans_are_named(
    tmp_path: Path, route: str, words: str
) -> None:
    folder = tmp_path / "plans"
    folder.mkdir()
    plans = {"a": "", "wide": "rescore_window: 70\n", "shadow": "mode: shadow\n", "off": ""}
    for name, more in plans.items():
        (folder / f"{name}.yaml").write_text(PLAN + more)
    main = tmp_path / "sidecar.yaml"
    main.write_text(f"{MAIN}routes: [{{index: i, {route}}}]\n")
    with pytest.raises(ConfigError, match=words):
        read_config(main, {})
