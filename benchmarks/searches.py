"""(b) Rescored searches over a real OpenSearch, and (d) relayed requests beside them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.beside import measure_beside
from benchmarks.cluster import INDEX, VERSION, Client, loaded_cluster, search_body
from benchmarks.figures import Bar, Part, Spread, Table, spread
from benchmarks.serving import serving
from benchmarks.texts import query_texts, unused_words
from benchmarks.weights import SOURCE, cross_encoder_folder
from tests.nodes.java import NotInstalled

WINDOW = 25
MODELS = {
    "minilm": {"kind": "bi-encoder", "source": SOURCE},
    "pairs": {"kind": "cross-encoder", "source": ""},
}
PLAN = {
    "rescore_window": WINDOW,
    "deadline_ms": 60_000,
    "document": {"title": "title", "body": "text"},
    "passages": {"words": 60, "per_group": 3},
    "stages": [{"model": "minilm"}],
    "fusion": {"method": "relative", "weight": 5, "lexical": 0.3, "short_query_words": 6},
}
_DOCUMENTS = 6000
_HOW = (
    f"OpenSearch {VERSION} with {_DOCUMENTS:,} documents, with all of Java's compilers and after"
    " thousands of searches, its sidecar and one client on this machine."
    f" Searches for 10 hits, of which {WINDOW} are rescored with up to three passages of"
    " 60 words each. They come one at a time, direct and through the sidecar in turn; each has"
    " a word that was never asked before, so that its query text is new to the model. cold: no"
    " passage of its documents was read before; warm: all were; page 2 is cut from the kept window;"
    " cascade: the cross-encoder reads the passages of the best ten after the bi-encoder. added:"
    " beyond the same search sent direct, OpenSearch's work for the wider window included; inside:"
    " what the sidecar takes before it asks OpenSearch and after its answer, as `X-Rescore` says."
)

Times = dict[str, list[float]]


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """All kinds of searches, then relayed requests alone and beside other work."""
    rounds, queries = (2, 10) if quick else (7, 40)
    models = {**MODELS, "pairs": {**MODELS["pairs"], "source": str(cross_encoder_folder())}}
    plans = {
        "warm": PLAN,
        "cascade": {**PLAN, "stages": [{"model": "minilm"}, {"model": "pairs", "take": 10}]},
    }
    step("starting OpenSearch")
    try:
        with loaded_cluster(_DOCUMENTS) as url, tempfile.TemporaryDirectory() as folder:
            step("starting the sidecar")
            with serving(Path(folder) / "one", url, models, plans, {INDEX: "warm"}) as served:
                ways = (Client(url), Client(served.url))
                step("cold searches")
                cold, texts = _cold(*ways, 4 if quick else 12)
                kinds = {"cold": cold}
                for round_ in range(-1, rounds):
                    step(f"warm searches, round {round_ + 1} of {rounds}")
                    for kind, times in _round(*ways, query_texts()[:queries], round_).items():
                        if round_ >= 0:  # the first search reads everything
                            kinds.setdefault(kind, []).append(times)
            step("beside other work")
            # The store is so small that there are always passages to read.
            with serving(
                Path(folder) / "two",
                url,
                models,
                plans,
                {INDEX: "warm"},
                passage_store={"memory_mb": 1},
            ) as served:
                beside = measure_beside(url, served.url, 2 if quick else 5, step)
    except NotInstalled as error:
        return Part("searches", "Rescored searches over OpenSearch", _HOW, missing=str(error))
    tables = (_table(kinds, len(texts), queries), *beside.tables)
    return Part(
        "searches",
        "Rescored searches over OpenSearch",
        _HOW,
        tables,
        (*_bars(kinds), *beside.bars),
    )


def _cold(direct: Client, proxied: Client, most: int) -> tuple[list[Times], list[str]]:
    """Searches whose windows have no document in common, once each; every search is a round."""
    seen: set[str] = set()
    rounds, chosen = [], []
    for text in query_texts():
        window = json.loads(
            direct.ask("POST", f"/{INDEX}/_search", search_body(text, size=WINDOW))[2]
        )
        ids = {hit["_id"] for hit in window["hits"]["hits"]}
        if len(ids) < WINDOW or ids & seen:
            continue
        seen |= ids
        chosen.append(text)
        rounds.append(pair(direct, proxied, search_body(text), None))
        if len(chosen) == most:
            break
    return rounds, chosen


def _round(
    direct: Client, proxied: Client, texts: Sequence[str], round_: int
) -> Mapping[str, Times]:
    """Each query once in each way."""
    kinds: dict[str, Times] = {}
    for number, text in enumerate(texts):
        place = 2 * (len(texts) * (round_ + 1) + number)
        asked, again = (f"{text} {word}" for word in unused_words()[place : place + 2])
        found = {
            "warm": pair(direct, proxied, search_body(asked), None),
            "page 2": pair(direct, proxied, search_body(asked, start=10), None),
        }
        if number % 4 == 0:  # as it takes many times as long
            found["cascade"] = pair(direct, proxied, search_body(again), "cascade")
        for kind, times in found.items():
            for name, values in times.items():
                kinds.setdefault(kind, {}).setdefault(name, []).extend(values)
    return kinds


def pair(direct: Client, proxied: Client, body: str, plan: str | None) -> Times:
    path = f"/{INDEX}/_search"
    alone = direct.ask("POST", path, body)[0]
    ms, said, _ = proxied.ask("POST", path, body, plan)
    if not said.startswith("applied"):
        raise RuntimeError(f"a search was not rescored: {said}")
    inside = said.partition("ms=")[2].partition(";")[0]
    return {"direct": [alone], "through": [ms], "added": [ms - alone], "inside": [float(inside)]}


def p50(rounds: Sequence[Times], name: str, unit: str = "", digits: int = 1) -> Spread:
    """The spread of the rounds' medians."""
    return spread((spread(times[name], digits=digits).median for times in rounds), unit, digits)


def _table(kinds: Mapping[str, list[Times]], cold: int, queries: int) -> Table:
    rows: list[tuple[Any, ...]] = []
    for kind, rounds in kinds.items():
        every = sorted(value for times in rounds for value in times["added"])
        p95 = every[max(0, -(-len(every) * 95 // 100) - 1)]
        cells = [p50(rounds, name, digits=2) for name in ("direct", "through", "added", "inside")]
        rows.append((kind, *cells, f"{p95:.1f}"))
    return Table(
        "One search at a time, ms at the median",
        ("", "direct", "through", "added", "inside", "added, p95"),
        tuple(rows),
        f"cold: {cold} searches, each a round of its own. Others: {queries} searches a"
        " round, a quarter of them for the cascade. page 2 is cut from the window that is kept, so"
        " OpenSearch is not asked.",
    )


def _bars(kinds: Mapping[str, list[Times]]) -> tuple[Bar, ...]:
    warm = p50(kinds["warm"], "added", " ms", 2)
    page = p50(kinds["page 2"], "added", " ms", 2)
    return (
        Bar(
            "warm rescored search over HTTP, 25 x 3, added p50",
            warm,
            "most",
            3.5,
            2.2,
            "The model reads the query text for longer than OpenSearch searches, so the search"
            " waits for it. Then come comparing, fusing and splicing, in Python; before it, reading"
            " the request; and the way through one more process.",
        ),
        Bar(
            "page 2 of a rescored search, added p50; it needs no OpenSearch",
            page,
            "most",
            1,
            0.5,
        ),
    )
