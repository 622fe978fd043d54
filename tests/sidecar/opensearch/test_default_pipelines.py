"""What is asked about default search pipelines, how often, and for how long a search waits."""

from __future__ import annotations

import asyncio
import json

import pytest

from sidecar.metrics import Metrics
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.default_pipelines import (
    NO_DEFAULT,
    DefaultPipeline,
    DefaultPipelines,
    Question,
)
from sidecar.relay.errors import (
    ResponseTooLarge,
    UpstreamBroken,
    UpstreamUnavailable,
)
from sidecar.relay.front import Response
from sidecar.relay.heads import RequestHead, parse_request_head, parse_response_head

SETTING = "index.search.default_pipeline"


def head(target: str = "/shop/_search", user: str = "ann") -> RequestHead:
    fields = f"Host: h\r\nAuthorization: {user}\r\nContent-Type: application/json\r\n"
    length = "Content-Length: 20\r\nAccept-Encoding: gzip\r\nX-Opaque-Id: 7\r\n\r\n"
    return parse_request_head(f"POST {target} HTTP/1.1\r\n{fields}{length}".encode())


def response(body: object, status: int = 200) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n\r\n"
    return Response(parse_response_head(lines.encode()), content)


def settings(**names: str) -> Response:
    return response({index: {"settings": {SETTING: name}} for index, name in names.items()})


class Cluster:
    """Gives the answers in `says` one by one, then the last one always; waits for `open`."""

    def __init__(self, *says: Response | Exception) -> None:
        self.says = list(says)
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[bytes] = []

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        self.asked.append(head)
        await self.open.wait()
        answer = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Sidecar:
    """The default pipelines of one sidecar, before one cluster."""

    def __init__(self, *says: Response | Exception, wait_s: float = 30.0) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.callers = Callers()
        self.known = DefaultPipelines(self.callers, self.metrics, self.clock, wait_s)
        self.cluster = Cluster(*says)

    def question(self, target: str = "/shop/_search", user: str = "ann") -> Question:
        own = head(target, user)
        question = self.known.question(own, self.callers.caller(own))
        assert question is not None
        return question

    async def name(self, target: str = "/shop/_search", user: str = "ann") -> str | None:
        found = await self.known.find(self.question(target, user), self.cluster)
        assert found.pending is None
        return found.name

    def answers(self, kind: str) -> float:
        name = "rescore_default_pipelines_total"
        return self.metrics.registry.get_sample_value(name, {"answer": kind}) or 0.0

    async def settle(self) -> None:
        """Until no question is on its way."""
        while self.known._asking:
            await asyncio.wait([asking.task for asking in self.known._asking.values()])
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/shop/_search", "/shop/_settings/%s?flat_settings=true"),
        ("shop/_search//", "/shop/_settings/%s?flat_settings=true"),
        ("/a,b%2Cc*,-d/_search?size=3", "/a,b%%2Cc*,-d/_settings/%s?flat_settings=true"),
        (
            "/a/_search?ignore_unavailable=true&routing=x&expand_wildcards=open%2Chidden",
            "/a/_settings/%s?flat_settings=true&ignore_unavailable=true"
            "&expand_wildcards=open%%2Chidden",
        ),
    ],
)
async def test_the_question_is_the_callers_own(target: str, asked: str) -> None:
    sidecar = Sidecar(settings(shop="one"))
    assert await sidecar.name(target) == "one"
    (sent,) = sidecar.cluster.asked
    assert (
        sent
        == (
            f"GET {asked % SETTING} HTTP/1.1\r\nHost: h\r\nAuthorization: ann\r\n"
            "X-Opaque-Id: 7\r\nContent-Length: 0\r\n\r\n"
        ).encode()
    )


@pytest.mark.parametrize("target", ["/_search", f"/{'a,' * 2100}b/_search"])
async def test_nothing_to_ask(target: str) -> None:
    own = head(target)
    assert Sidecar(settings()).known.question(own, b"caller") is None


@pytest.mark.parametrize(
    ("says", "name", "kind"),
    [
        (settings(), None, "none"),
        (settings(a="one"), "one", "pipeline"),
        (settings(a="one", b="one"), "one", "pipeline"),
        (settings(a="one", b="two"), None, "none"),
        (settings(a="_none"), None, "none"),
        (response({"a": {"settings": {SETTING: None}}}), None, "none"),
        (settings(a="_none", b="one"), "one", "pipeline"),
        (settings(a="n" * 100_000), "n" * 513, "pipeline"),
        (response({"error": {}}, 404), None, "none"),
        (response({"error": {}}, 403), None, "refused"),
        (response({"error": {}}, 401), None, "refused"),
        (response({"error": {}}, 400), None, "failed"),
        (response({"error": {}}, 503), None, "failed"),
        (response(b"{"), None, "failed"),
        (response(b"[" * 200_000), None, "failed"),
        (response([1]), None, "failed"),
        (response({"a": {"settings": {SETTING: 3}}}), None, "failed"),
        (response({"a": {"settings": {}}}), None, "failed"),
        (UpstreamBroken("lost"), None, "failed"),
        (ResponseTooLarge("too much"), None, "failed"),
        (RuntimeError("a bug"), None, "failed"),
    ],
)
async def test_what_answers_mean(says: Response | Exception, name: str | None, kind: str) -> None:
    sidecar = Sidecar(says)
    assert await sidecar.name() == name
    assert await sidecar.name() == name
    assert len(sidecar.cluster.asked) == 1
    assert sidecar.answers(kind) == 1


async def test_an_answer_belongs_to_one_caller_and_one_index_list() -> None:
    says = [settings(shop=name) for name in ("one", "two", "three", "four")]
    sidecar = Sidecar(*says)
    for _ in range(2):
        assert await sidecar.name() == "one"
        assert await sidecar.name(user="bob") == "two"
        assert await sidecar.name("/shop,news/_search") == "three"
        assert await sidecar.name("/shop/_search?ignore_unavailable=true") == "four"
    assert len(sidecar.cluster.asked) == 4


async def test_a_changed_setting_is_seen_after_a_minute() -> None:
    sidecar = Sidecar(settings(shop="one"), settings(shop="two"))
    assert await sidecar.name() == "one"
    sidecar.clock.now += 29.9
    assert await sidecar.name() == "one"
    assert len(sidecar.cluster.asked) == 1
    sidecar.clock.now += 30.2
    assert await sidecar.name() == "two"  # it is asked first


async def test_an_answer_is_fetched_again_beside_a_search() -> None:
    sidecar = Sidecar(settings(shop="one"), settings(shop="two"))
    assert await sidecar.name() == "one"
    sidecar.clock.now += 30.0
    sidecar.cluster.open.clear()
    assert await sidecar.name() == "one"
    assert await sidecar.name() == "one"
    sidecar.cluster.open.set()
    await sidecar.settle()
    assert await sidecar.name() == "two"
    assert len(sidecar.cluster.asked) == 2


@pytest.mark.parametrize(
    ("says", "seconds"),
    [
        (response({}, 403), 600),
        (response(b"{"), 600),
        (ResponseTooLarge("too much"), 600),
        (response({}, 429), 60),
        (UpstreamBroken("lost"), 60),
    ],
)
async def test_nobody_asks_again_soon(says: Response | Exception, seconds: float) -> None:
    sidecar = Sidecar(says, settings(shop="one"))
    assert await sidecar.name() is None
    sidecar.clock.now += seconds - 1
    assert await sidecar.name() is None
    assert len(sidecar.cluster.asked) == 1
    sidecar.clock.now += 2
    assert await sidecar.name() == "one"


async def test_a_question_that_was_not_sent_is_asked_again() -> None:
    sidecar = Sidecar(UpstreamUnavailable("no node"), settings(shop="one"))
    question = sidecar.question()
    assert await sidecar.known.find(question, sidecar.cluster) == DefaultPipeline(pending=question)
    assert await sidecar.name() == "one"


async def test_without_a_usable_answer_the_last_one_holds() -> None:
    sidecar = Sidecar(settings(shop="one"), response(b"{"), response({}, 403))
    assert await sidecar.name() == "one"
    sidecar.clock.now += 61
    assert await sidecar.name() == "one"
    assert len(sidecar.cluster.asked) == 2
    sidecar.clock.now += 601
    assert await sidecar.name() is None  # whoever may not know it any more is not told


async def test_a_caller_who_is_always_refused_is_asked_for_three_times() -> None:
    sidecar = Sidecar(settings(shop="one"), response({}, 403))
    assert await sidecar.name("/shop/_search") == "one"
    for number in range(20):
        assert await sidecar.name(f"/t{number}/_search") is None
    assert len(sidecar.cluster.asked) == 4
    # What has been answered is asked again all the same, and others are asked for.
    sidecar.clock.now += 61
    sidecar.cluster.says = [settings(shop="two")]
    assert await sidecar.name("/shop/_search") == "two"
    assert await sidecar.name("/t9/_search") is None
    assert await sidecar.name("/t9/_search", user="bob") == "two"
    sidecar.clock.now += 600
    assert await sidecar.name("/t9/_search") == "two"


async def test_a_search_waits_for_some_milliseconds_at_most() -> None:
    sidecar = Sidecar(settings(shop="one"), wait_s=0.001)
    sidecar.cluster.open.clear()
    question = sidecar.question()
    for _ in range(3):
        found = await sidecar.known.find(question, sidecar.cluster)
        assert found == DefaultPipeline(pending=question)
    assert len(sidecar.cluster.asked) == 1
    assert sidecar.known.look_up(question).pending is question
    sidecar.cluster.open.set()
    await sidecar.settle()
    assert sidecar.known.look_up(question) == DefaultPipeline("one")


async def test_searches_at_once_share_a_question() -> None:
    sidecar = Sidecar(settings(shop="one"))
    sidecar.cluster.open.clear()
    searches = [asyncio.ensure_future(sidecar.name()) for _ in range(5)]
    await asyncio.sleep(0)
    searches.pop().cancel()  # its client has gone
    await asyncio.sleep(0)
    sidecar.cluster.open.set()
    assert await asyncio.gather(*searches) == ["one"] * 4
    assert len(sidecar.cluster.asked) == 1


async def test_only_some_questions_are_on_their_way_at_once() -> None:
    sidecar = Sidecar(settings(shop="one"), wait_s=0.0)
    sidecar.cluster.open.clear()
    for number in range(100):
        question = sidecar.question(f"/t{number}/_search")
        assert (await sidecar.known.find(question, sidecar.cluster)).pending is question
    await asyncio.sleep(0)
    assert len(sidecar.cluster.asked) == 32
    await sidecar.known.close()
    assert not sidecar.known._asking
    assert sidecar.known.look_up(sidecar.question("/t1/_search")) != NO_DEFAULT
