"""Reading hits and splicing a new order, against a response built from known pieces."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.hits import Hit
from sidecar.opensearch.search_response import Unreadable, read_search_response, splice_response
from tests.sidecar.spans.json_texts import ResponseText, responses

COMPACT = (
    '{"took":1,"timed_out":false,"_shards":{"total":2,"failed":0},"hits":{"total":{"value":4},'
    '"max_score":4.0,"hits":['
    '{"_index":"i","_id":"a","_score":4.0,"_source":{"title":"é 😀"}},'
    '{"_index":"i","_id":"b","_score":3.0,"_source":{"title":"\\u00e9 \\ud83d"}},'
    '{"_index":"j","_id":"a","_score":2.50,"_source":{"title":"c"}},'
    '{"_index":"i","_id":"d","_score":1.0}]}}'
)


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def scores_of(body: bytes) -> tuple[float, list[tuple[str, float]]]:
    hits = json.loads(body)["hits"]
    return hits["max_score"], [(hit["_id"], hit["_score"]) for hit in hits["hits"]]


def test_what_is_read_of_a_response() -> None:
    search_response = read_search_response(COMPACT.encode())
    assert [(hit.index_name, hit.id) for hit in search_response.hits] == [
        *(("i", "a"), ("i", "b"), ("j", "a"), ("i", "d"))
    ]
    assert search_response.window(2) == (
        Hit(0, 4.0, {"title": "é 😀"}),
        Hit(1, 3.0, {"title": "é \ud83d"}),
    )
    assert search_response.window(9)[3] == Hit(3, 1.0, {})
    assert search_response.window(1, [{"body": "b"}]) == (Hit(0, 4.0, {"body": "b"}),)
    assert search_response.max_score is not None
    assert (search_response.max_score.value, search_response.scored) == (4.0, True)
    assert (
        search_response.shards_failed,
        search_response.timed_out,
        search_response.terminated_early,
    ) == (0, False, False)


@pytest.mark.parametrize(
    "rest",
    [
        '"_id":"x","_score":1.5E-7,"_source":{"_score":9,"a":{"_source":"}"}}}',
        '"_id":"x","_score":0,"_source":null}',
        '"_id":"\\"x","_score":-12.0,"_source":{}}',
        '"_id":"x","_score":3.0,"_source":{},"sort":[3.0]}',
        '"_id":"x","_score":3.0,"_source":{"t":"\\ud800"} }',
        '"_id":"x","_score":3.4e39,"_source":{}}',
    ],
)
def test_hits_are_read_alike_however_they_are_spaced(rest: str) -> None:
    def read(element: str) -> tuple[object, ...]:
        text = COMPACT.replace('{"_index":"i","_id":"d","_score":1.0}', element)
        hits = read_search_response(encode(text)).hits
        hit = hits[-1]
        token = text[hit.score_start : hit.score_end]
        element = text[hit.start : hit.end]
        return element, token, hit.score, hit.index_name, hit.id, hit.source, hit.sorted

    plain, *read_plain = read('{"_index":"i",' + rest)
    spaced, *read_spaced = read('{ "_index":"i",' + rest)
    assert (plain, spaced) == ('{"_index":"i",' + rest, '{ "_index":"i",' + rest)
    assert read_plain == read_spaced


@pytest.mark.parametrize("score", ["01", "1.", ".5", "+1", "1e", "NaN"])
def test_a_score_that_is_no_json_is_refused(score: str) -> None:
    with pytest.raises(Unreadable):
        read_search_response(COMPACT.replace('"_score":2.50', f'"_score":{score}').encode())


def test_what_tells_that_the_hits_are_not_the_best() -> None:
    text = COMPACT.replace('"failed":0', '"failed":2').replace("false", "true", 1)
    search_response = read_search_response(
        text.replace('"took"', '"terminated_early":true,"took"').encode()
    )
    assert (
        search_response.shards_failed,
        search_response.timed_out,
        search_response.terminated_early,
    ) == (2, True, True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"_score":2.50', '"_score":null'),
        ('"_score":2.50', '"_score":"NaN"'),
        ('"_score":2.50', '"_score":1e400'),
        ('"_score":2.50', '"_score":1' + "0" * 400),
        ('"_score":2.50', '"_score":true'),
        ('"_score":2.50,', ""),
        ('"_score":2.50', '"_score":2.50,"sort":[1]'),
    ],
    ids=lambda text: text[:30],
)
def test_hits_that_are_not_ordered_by_score_are_only_cut(old: str, new: str) -> None:
    text = COMPACT.replace(old, new)
    search_response = read_search_response(text.encode())
    assert not search_response.scored
    with pytest.raises(ValueError, match="without an order"):
        splice_response(search_response, [(0, 1.0)], 0, 10)
    assert text.encode() == splice_response(search_response, None, 0, 10)
    assert [
        hit["_id"]
        for hit in json.loads(splice_response(search_response, None, 1, 2))["hits"]["hits"]
    ] == [*("b", "a")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"hits":null}',
        b'{"hits":[]}',
        b'{"hits":{}}',
        b'{"hits":{"hits":null}}',
        b'{"hits":{"hits":[1]}}',
        b'{"hits":{"hits":[{}]}',
        b'{"hits":{"hits":[]}}x',
        b'{"hits":{"hits":[],"hits":[]}}',
        b'{"hits":{"hits":[{"_score":1,"_score":2}]}}',
        b'{"hits":{"hits":[{"_score":NaN}]}}',
        b'{"hits":{"hits":[{"_id":"\xff"}]}}',
        b'{"error":{"hits":{"hits":[]}}}',
        b"---\nhits: 1\n",
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_no_search_response_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_search_response(body)


def test_fused_scores_leave_max_score_and_the_hits_below_the_window() -> None:
    body = splice_response(
        read_search_response(COMPACT.encode()), [(2, 4.0), (0, 2.75), (1, 2.5)], 0, 10
    )
    assert scores_of(body) == (4.0, [("a", 4.0), ("a", 2.75), ("b", 2.5), ("d", 1.0)])
    # 2.5 gets the text that OpenSearch wrote, 2.75 its shortest form
    assert b'"_score":2.75' in body
    assert b'"_id":"b","_score":2.50,' in body


def test_a_score_that_equals_the_maximum_is_written_like_it() -> None:
    text = '{"hits":{"max_score":9.50,"hits":[{"_id":"a","_score":9.0}]}}'
    body = splice_response(read_search_response(text.encode()), [(0, 9.5)], 0, 10)
    assert text.replace("9.0", "9.50").encode() == body


def test_model_scores_make_the_windows_maximum_on_every_page() -> None:
    search_response = read_search_response(COMPACT.encode())
    order = [(1, 0.9), (0, -7.25), (2, -9.0)]
    for start, ids in ((0, ["b"]), (1, ["a"]), (3, ["d"])):
        max_score, hits = scores_of(splice_response(search_response, order, start, 1, "model"))
        assert ids == [_id for _id, _ in hits]
        assert max_score == pytest.approx(0.9)


def test_a_hit_that_was_not_scored_keeps_its_token() -> None:
    order = [(1, 0.5), (0, None), (2, None)]
    body = splice_response(read_search_response(COMPACT.encode()), order, 0, 10, "model")
    assert scores_of(body) == (4.0, [("b", 0.5), ("a", 4.0), ("a", 2.5), ("d", 1.0)])
    assert b'"_score":2.50' in body


def test_positional_scores_stay_in_their_places() -> None:
    order = [(2, 9.0), (1, math.nan), (0, None)]
    body = splice_response(read_search_response(COMPACT.encode()), order, 0, 10, "positional")
    assert scores_of(body) == (4.0, [("a", 4.0), ("b", 3.0), ("a", 2.5), ("d", 1.0)])
    assert b'"_index":"j","_id":"a","_score":4.0' in body


@pytest.mark.parametrize("new", [1e-12, 1e30, 3.4e38, 1e300, -1e300, 0.1, 1 / 3, -0.0, 16777217.0])
def test_new_scores_are_json_and_as_exact_as_opensearchs(new: float) -> None:
    body = splice_response(read_search_response(COMPACT.encode()), [(0, new)], 0, 1)
    _, [(_, written)] = scores_of(body)
    largest = float(np.finfo(np.float32).max)
    assert np.float32(min(max(new, -largest), largest)) == np.float32(written)


@pytest.mark.parametrize("new", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(new: float) -> None:
    with pytest.raises(ValueError, match="new score"):
        splice_response(read_search_response(COMPACT.encode()), [(0, new)], 0, 10)


@pytest.mark.parametrize("positions", [[1], [0, 0], [0, 2], [-1, 0], [0, 1, 2, 3, 4]], ids=str)
def test_an_order_that_is_no_permutation_is_refused(positions: list[int]) -> None:
    with pytest.raises(ValueError, match="permutation"):
        splice_response(
            read_search_response(COMPACT.encode()), [(p, 1.0) for p in positions], 0, 10
        )


def test_empty_pages_look_as_opensearch_writes_them() -> None:
    pretty = json.dumps(json.loads(COMPACT), indent=2)
    for text, empty in ((COMPACT, b'"hits":[]}'), (pretty, b'"hits": [ ]')):
        assert empty in splice_response(read_search_response(text.encode()), None, 4, 10)
    none = '{"hits":{"max_score":null,"hits":[ ]}}'
    assert none.encode() == splice_response(read_search_response(none.encode()), [], 0, 10, "model")


def test_a_maximum_behind_the_hits_is_found_too() -> None:
    text = '{"hits":{"hits":[{"_id":"a","_score":1.0}],"max_score":1.0},"took":1}'
    body = splice_response(read_search_response(text.encode()), [(0, 7.5)], 0, 10, "model")
    assert text.replace("1.0", "7.5").encode() == body


@given(response=responses())
def test_the_same_order_and_scores_are_the_same_bytes(response: ResponseText) -> None:
    body = encode(response.whole)
    search_response = read_search_response(body)
    same = [(position, hit.score) for position, hit in enumerate(search_response.hits)]
    assert body == splice_response(search_response, None, 0, 100)
    assert body == splice_response(search_response, same, 0, 100, "positional")
    assert body == splice_response(
        search_response, [(position, None) for position, _ in same], 0, 100
    )
    # A float does not determine which of two tokens it had (1.10 or 1.1).
    if len({np.float32(token) for _, token, _ in response.elements}) == len(response.elements):
        assert body == splice_response(search_response, same, 0, 100, "fused")


@given(response=responses(), data=st.data())
def test_only_order_and_tokens_change(response: ResponseText, data: st.DataObject) -> None:
    count = len(response.elements)
    window = data.draw(st.integers(0, count))
    order = data.draw(st.permutations(range(window)))
    # Larger than all generated scores, so that no score gets an old token.
    new = [f"{score}.5" for score in data.draw(st.permutations(range(5000, 5000 + window)))]
    places = [*order, *range(window, count)]
    old = [response.elements[place][1] for place in range(count)]
    ranked = [(position, float(score)) for position, score in zip(order, new, strict=True)]
    search_response = read_search_response(encode(response.whole))

    fused = response.text(places, [*new, *old[window:]], response.max_score)
    assert encode(fused) == splice_response(search_response, ranked, 0, 100)
    positional = response.text(places, old, response.max_score)
    assert encode(positional) == splice_response(search_response, ranked, 0, 100, "positional")
    best = max(new, default=response.max_score)
    model = response.text(places, [*new, *old[window:]], best)
    assert encode(model) == splice_response(search_response, ranked, 0, 100, "model")


@given(response=responses(), data=st.data())
def test_an_order_and_its_inverse_undo_each_other(
    response: ResponseText, data: st.DataObject
) -> None:
    body = encode(response.whole)
    order = data.draw(st.permutations(range(len(response.elements))))
    there = splice_response(read_search_response(body), [(p, None) for p in order], 0, 100)
    back = [(order.index(position), None) for position in range(len(order))]
    assert body == splice_response(read_search_response(there), back, 0, 100)


@given(response=responses(), size=st.integers(1, 3), data=st.data())
def test_pages_are_the_slices_of_the_whole(
    response: ResponseText, size: int, data: st.DataObject
) -> None:
    search_response = read_search_response(encode(response.whole))
    order = data.draw(st.permutations(range(len(response.elements))))
    ranked = [(position, 7.5) for position in order]

    def hits_of(start: int, size: int) -> list[str]:
        found = read_search_response(splice_response(search_response, ranked, start, size))
        return [found.text[hit.start : hit.end] for hit in found.hits]

    pages = [hits_of(start, size) for start in range(0, len(order) + size, size)]
    assert hits_of(0, 100) == [hit for page in pages for hit in page]


@given(body=st.binary())
def test_any_bytes_are_read_or_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_search_response(body)
