"""Amounts in OpenSearch's answers, should a node be odd or worse: none holds the event loop.

Each case grows: with twice as much of it an answer takes at most about twice the CPU time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.traps.amounts import (
    MATCH,
    NDJSON,
    Cost,
    Meter,
    StandIn,
    check_costs,
    distinct,
    http,
    listed,
    metered_sidecar,
    search,
)


@pytest.fixture(scope="module")
def meter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meter]:
    folder = tmp_path_factory.mktemp("amounts")
    with metered_sidecar(folder, StandIn(), rewrite_publish_address="proxy:9201") as running:
        yield running


def response(hits: str, around: str = "", behind: str = "") -> bytes:
    return (
        f'{{"took":1,"timed_out":false,"_shards":{{"failed":0}},{around}"hits":{{"max_score":2.0,'
        f'"hits":[{hits}]}}{behind}}}'
    ).encode()


def hit(source: str = '{"body":"red"}', members: str = "") -> str:
    return f'{{"_index":"docs","_id":"#","_score":1.5,{members}"_source":{source}}}'


def inside(values: str) -> str:
    """A source with these values beside its text."""
    return f'{{"body":"red","values":[{values}]}}'


ANSWERS: dict[str, tuple[Callable[[int], bytes], int, str | None]] = {
    "tiny hits": (lambda n: response(listed("{}", n)), 500_000, "unreadable"),
    "tiny hits, fewer": (lambda n: response(listed("{}", n)), 4_000, "sorted"),
    "hits": (lambda n: response(distinct(hit(), n)), 4_000, None),
    "hits with more members": (
        lambda n: response(distinct(hit(members='"a":0,"b":0,"c":0,"d":0,"e":0,'), n)),
        1_000,
        None,
    ),
    "members of a hit": (
        lambda n: response(hit(members=distinct('"m#":0', n) + ",")),
        20_000,
        "unreadable",
    ),
    "members of the answer": (
        lambda n: response(hit(), distinct('"m#":0', n) + ","),
        20_000,
        "unreadable",
    ),
    "a large source": (
        lambda n: response(hit('{"body":"' + "red, " * n + '"}')),
        400_000,
        None,
    ),
    "a source of objects": (lambda n: response(hit(inside(listed("{}", n)))), 100_000, None),
    "a source of numbers": (lambda n: response(hit(inside(listed("1.5", n)))), 200_000, None),
    "a source of digits": (
        lambda n: response(hit(inside(listed("1" * 4000, n)))),
        500,
        "unreadable",
    ),
    "a nested source": (lambda n: response(hit(inside("[" * n + "]" * n))), 400, None),
    "a nested source, deeper": (
        lambda n: response(hit(inside("[" * n + "]" * n))),
        200_000,
        "unreadable",
    ),
    "buckets": (
        lambda n: response(
            hit(),
            behind=',"aggregations":{"a":{"buckets":['
            + distinct('{"key":"#","doc_count":1}', n)
            + "]}}",
        ),
        60_000,
        None,
    ),
    "values": (
        lambda n: response(hit(), behind=',"aggregations":[' + listed("0", n) + "]"),
        1_000_000,
        "unreadable",
    ),
}


@pytest.mark.parametrize("coded", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_amount_in_the_answer_to_a_search(meter: Meter, name: str, coded: bool) -> None:
    make, amount, reason = ANSWERS[name]
    raw = search(MATCH + b',"size":20}', b"Accept-Encoding: gzip")
    contents = make(amount), make(2 * amount)
    outcome = check_costs(lambda: costs_of(meter, raw, contents, coded)).outcome
    assert outcome is not None
    assert ("applied" if reason is None else f"reason={reason};") in outcome


ELSEWHERE = {
    "text fetch": (search(MATCH + b',"_source":false}'), b"%s"),
    "msearch": (
        http(b"POST /docs/_msearch", b"{}\n" + MATCH + b"}\n", NDJSON),
        b'{"took":1,"responses":[%s]}',
    ),
    "template": (
        search(b'{"id":"a"}', target=b"/rendered/_search/template"),
        b'{"template_output":%s}',
    ),
    "nodes": (http(b"GET /_nodes/http", b""), b'{"nodes":{"a":{"http":%s}}}'),
}


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("name", ANSWERS)
def test_an_amount_in_another_answer(meter: Meter, name: str, place: str) -> None:
    make, amount, _ = ANSWERS[name]
    raw, around = ELSEWHERE[place]
    contents = [around % make(times * amount) for times in (1, 2)]
    if place == "msearch":
        contents = [content.replace(b'"took"', b'"status":200,"took"', 2) for content in contents]
    larger = check_costs(lambda: costs_of(meter, raw, contents, coded=False))
    assert (larger.outcome is None) == (place == "nodes")


def costs_of(meter: Meter, raw: bytes, contents: Sequence[bytes], coded: bool) -> list[Cost]:
    costs = []
    for content in contents:
        with meter.node.answering(content, coded):
            costs.append(meter.cost(raw))
        assert costs[-1].answer.status == 200
    totals = [round(cost.total, 1) for cost in costs]
    print(f"turn {costs[1].turn:.1f} ms, all {totals} ms, {costs[1].outcome}")
    return costs
