"""The plugin's request, built by our own core, is posted; the answer becomes a page of hits. The
page equals what the proxy makes of the same hits with the plan `kendra-intelligent-ranking`."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pipelines.hits import Hit
from pipelines.lexical import count_words
from pipelines.rescore import choose_passages, rescore
from pipelines.words import read_query_words, read_words
from sidecar.config.main_file import Model
from sidecar.kendra_ranking.rescoring import write_score
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from tests.sidecar.kendra_ranking.plugin import PageHit, read_answer, write_request
from tests.sidecar.kendra_ranking.serving import PLAN_ID, Answer, Served, kendra_plan, serving
from tests.weights import minilm_settings

SAMPLE = files("sidecar") / "sample"
KEY = {"id": "PLUGIN", "secret": "of the keystore"}


@pytest.fixture(scope="module")
def corpus() -> dict[str, tuple[str, str]]:
    lines = gzip.decompress((SAMPLE / "corpus.jsonl.gz").read_bytes()).splitlines()
    documents = [json.loads(line) for line in lines]
    return {str(one["_id"]): (one["title"], one["text"]) for one in documents}


@pytest.fixture(scope="module")
def query_texts() -> list[str]:
    return [
        json.loads(line)["text"] for line in (SAMPLE / "queries.jsonl").read_text().splitlines()
    ]


def page_of(corpus: dict[str, tuple[str, str]], query: str, with_titles: bool) -> list[PageHit]:
    """The best 30 hits by BM25, as a search would return them."""
    scored = zip(
        count_words(
            read_query_words(query), [read_words(body) for _, body in corpus.values()]
        ).bm25(),
        corpus,
        strict=True,
    )
    best = sorted(scored, key=lambda pair: -pair[0])[:30]
    return [
        PageHit(name, round(score, 4), corpus[name][0] if with_titles else None, corpus[name][1])
        for score, name in best
    ]


def post(door: Served, body: bytes, sent: bytes | None = None) -> Answer:
    """Sends like the plugin's HTTP client: signed, chunked, a form's content type, a final slash.

    `sent` goes out in the place of the body that was signed.
    """
    path = f"/rescore-execution-plans/{PLAN_ID}/rescore/"
    request = AWSRequest("POST", door.url + path, None, body)
    credentials = Credentials(KEY["id"], KEY["secret"])
    SigV4Auth(credentials, "kendra-ranking", "us-east-1").add_auth(request)
    fields = {
        **dict(request.headers.items()),
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
    }
    return door.send("POST", path, body if sent is None else sent, fields, chunked=True)


def by_the_proxy(
    models: Models, model: str, query: str, hits: list[PageHit]
) -> list[tuple[str, float]]:
    """The order and scores of the same hits by the plan, as the core returns them to the proxy."""
    plan = kendra_plan(model)
    window = [
        Hit(position, hit.score, {"title": hit.title or "", "body": hit.body})
        for position, hit in enumerate(hits[: plan.rescore_window])
    ]

    async def run() -> list[tuple[str, float]]:
        deadline = asyncio.get_running_loop().time() + 60
        chosen = choose_passages(plan, query, window)
        rescoring = await rescore(plan, query, chosen, models.scorer(deadline))
        return [(hits[r.position].id, write_score(r.score)) for r in rescoring.ranking]

    return asyncio.run(run())


def check_the_circle(
    door: Served, models: Models, model: str, query: str, hits: list[PageHit]
) -> None:
    page, highest = read_answer(post(door, write_request(query, hits)).body, hits)
    expected = by_the_proxy(models, model, query, hits)
    assert page[:25] == expected
    assert highest == expected[0][1]
    assert [name for name, _ in page[25:]] == [hit.id for hit in hits[25:]]
    assert [name for name, _ in expected] != [hit.id for hit in hits[:25]]


def test_the_bytes_are_the_plugins() -> None:
    hit = PageHit("d", 1.5, None, "The 中文 apples, and 12 of them!")
    assert write_request("qé", [hit]).decode() == (
        '{"SearchQuery":"qé","Documents":[{"Id":"d@1","GroupId":"d","TokenizedTitle":null,'
        '"TokenizedBody":["中文","apples"],"OriginalScore":1.5}]}'
    )


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    model = Model(kind="cross-encoder", source="words", backend="fake")
    models = load_models({"words": model}, tmp_path_factory.mktemp("models"), Metrics())
    yield models
    models.close()


@pytest.mark.parametrize("with_titles", [True, False], ids=["multi_match", "match"])
def test_the_circle_closes(
    words: Models,
    corpus: dict[str, tuple[str, str]],
    query_texts: list[str],
    tmp_path: Path,
    with_titles: bool,
) -> None:
    with serving(tmp_path, models=words, access_keys=[KEY]) as door:
        for query in query_texts[:5]:
            hits = page_of(corpus, query, with_titles)
            check_the_circle(door, words, "words", query, hits)


def test_a_hit_without_words_vanishes_from_the_plugins_page_alone(
    words: Models, tmp_path: Path
) -> None:
    hits = [PageHit("blank", 2.0, None, "the and of"), PageHit("d", 1.0, None, "red apple")]
    with serving(tmp_path, models=words, access_keys=[KEY]) as door:
        page, _ = read_answer(post(door, write_request("apple", hits)).body, hits)
        assert [name for name, _ in page] == ["d"]
        nothing = write_request("apple", hits[:1])
        assert nothing == b'{"SearchQuery":"apple","Documents":[]}'
        # After an error the user keeps the page; an empty answer would remove all hits.
        assert post(door, nothing).error == (400, "ValidationException")


def test_a_body_that_was_changed_on_its_way_is_refused(words: Models, tmp_path: Path) -> None:
    body = write_request("apple", [PageHit("d", 1.0, None, "red apple")])
    with serving(tmp_path, models=words, access_keys=[KEY]) as door:
        assert post(door, body).status == 200
        changed = post(door, body, body.replace(b"red", b"bad"))
        assert changed.error == (403, "InvalidSignatureException")


@pytest.mark.model
def test_the_circle_closes_with_real_weights(
    corpus: dict[str, tuple[str, str]], query_texts: list[str], tmp_path: Path
) -> None:
    model = Model.model_validate(minilm_settings())
    models = load_models({"minilm": model}, tmp_path, Metrics())
    try:
        plan = kendra_plan("minilm")
        with serving(tmp_path, models, plan, access_keys=[KEY], deadline_ms=60_000) as door:
            for query, with_titles in [(query_texts[0], True), (query_texts[1], False)]:
                hits = page_of(corpus, query, with_titles)
                check_the_circle(door, models, "minilm", query, hits)
    finally:
        models.close()
