"""The process that plays OpenSearch: what it answers is read by the sidecar as a real answer."""

from __future__ import annotations

import json

from pipelines.documents import read_documents
from pipelines.hits import Hit
from pipelines.plan import DocumentFields, Plan, Stage
from sidecar.bench.measuring import stand_in
from sidecar.bench.stand_in import Layout, SearchLoad, write_answer, write_source
from sidecar.demo.collection import SampleDocument

DOCUMENT = SampleDocument("7", "Roses in winter", "Prune them. Cover the roots well.")


def layout(**keys: tuple[str, ...]) -> Layout:
    whole = {"title": ("name",), "body": ("about",), **keys}
    return Layout(window=20, template={}, query_in_header=False, **whole)


def test_a_source_has_the_plans_fields() -> None:
    assert write_source(DOCUMENT, layout()) == {"name": DOCUMENT.title, "about": DOCUMENT.text}
    plan = Plan.model_validate(
        {
            "document": {"title": "name", "body": ["a.b", {"field": "c", "label": "Notes"}]},
            "stages": [{"model": "m"}],
        }
    )
    source = write_source(DOCUMENT, layout(body=("a.b", "c")))
    (document,) = read_documents([Hit(position=0, source=source, original_score=1.0)], plan)
    assert document.title == DOCUMENT.title
    assert document.body == "Prune them. Cover Notes: the roots well."


def test_a_plan_without_title_reads_all_of_the_text_in_its_body() -> None:
    source = write_source(DOCUMENT, layout(title=()))
    assert source == {"about": "Roses in winter. Prune them. Cover the roots well."}


def test_an_answer_has_its_best_score_in_front() -> None:
    hits = [{"_id": str(number), "_score": 3.0 - number} for number in range(3)]
    answer = json.loads(write_answer(hits))
    assert answer["hits"]["max_score"] == 3.0
    assert answer["hits"]["hits"] == hits


async def test_it_searches_and_keeps_the_time() -> None:
    plan = Plan(document=DocumentFields(body=("text",)), stages=(Stage(model="m"),))
    async with stand_in(plan) as beside:
        # Nothing lies between: the proxy is the stand-in itself.
        answer = await beside.search(
            beside.url, SearchLoad(windows=2, seconds=60, most=6, clients=3, directly=True)
        )
    assert len(answer["ms"]) == len(answer["direct_ms"]) == 6
    assert answer["statuses"] == {"not routed": 6}
    assert answer["scored"] == 0
    assert all(0 < ms < 60_000 for ms in answer["ms"])


async def test_it_sends_at_even_times_however_many_wait() -> None:
    plan = Plan(document=DocumentFields(body=("text",)), stages=(Stage(model="m"),))
    async with stand_in(plan) as beside:
        order = SearchLoad(windows=2, seconds=0, most=20, rate=100)
        answer = await beside.search(beside.url, order)
    assert len(answer["ms"]) == 20
    assert answer["seconds"] >= 0.19, "the last one is sent after 19 hundredths of a second"
