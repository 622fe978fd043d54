"""(f) What a shadow plan adds to the client's answer, over a real OpenSearch."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.request import urlopen

from benchmarks.cluster import INDEX, VERSION, Client, loaded_cluster, search_body
from benchmarks.figures import Bar, Cell, Part, Spread, Table, spread
from benchmarks.serving import Serving, serving
from benchmarks.texts import query_texts
from tests.nodes.java import NotInstalled

PLAIN = "rescore-plain"
"""An alias of the index that has no route."""

_DOCUMENTS = 3000
_PLAN = {
    "mode": "shadow",
    "shadow": {"share": 1, "rate": 1000, "concurrency": 8},
    "rescore_window": 50,
    "document": {"title": "title", "body": "text"},
    "stages": [{"model": "words"}],
}
_HOW = (
    f"OpenSearch {VERSION} with {_DOCUMENTS:,} documents, its sidecar and one client on this"
    " machine. Each search for 10 hits is sent through the sidecar twice, to the index without a"
    " route and to the same index with a shadow plan (share 1, window 50), in turn first. In"
    " *answer*, the next search waits for the shadow; in *back to back* it does not, so the"
    " shadow's own search and the rescoring compete with it for the same cores."
)

Pairs = list[tuple[float, float]]
"""Milliseconds without and with the plan."""


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Searches with and without a shadow plan, in turn."""
    rounds, queries = (2, 40) if quick else (7, 300)
    models = {"words": {"kind": "cross-encoder", "source": "words", "backend": "fake"}}
    kinds: dict[str, list[Pairs]] = {"answer": [], "back to back": []}
    step("starting OpenSearch")
    try:
        with loaded_cluster(_DOCUMENTS) as url, tempfile.TemporaryDirectory() as folder:
            actions = {"actions": [{"add": {"index": INDEX, "alias": PLAIN}}]}
            Client(url).ask("POST", "/_aliases", json.dumps(actions))
            step("starting the sidecar")
            routes = {INDEX: "later"}
            with serving(Path(folder), url, models, {"later": _PLAN}, routes) as served:
                for round_ in range(-1, rounds):
                    step(f"round {round_ + 1} of {rounds}")
                    texts = [f"{query_texts()[n % 40]} z{round_}z{n}" for n in range(queries)]
                    for kind, results in kinds.items():
                        found = _round(served, texts, waits=kind == "answer")
                        if round_ >= 0:  # the first one warms up
                            results.append(found)
    except NotInstalled as error:
        return Part("shadow", "Searches with a shadow plan", _HOW, missing=str(error))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (kind, *(_added(results, share) for share in (0.5, 0.99)))
        for kind, results in kinds.items()
    )
    table = Table("Added to the client's answer, ms", ("", "p50", "p99"), rows)
    p99 = _added(kinds["answer"], 0.99)
    bar = Bar("a search with a shadow plan, answer, added p99", p99, "most", 1, 0.3)
    return Part("shadow", "Searches with a shadow plan", _HOW, (table,), (bar,))


def _round(served: Serving, texts: Sequence[str], waits: bool) -> Pairs:
    client, pairs = Client(served.url), []
    for number, text in enumerate(texts):
        body, found = search_body(text), {}
        for index in (PLAIN, INDEX) if number % 2 else (INDEX, PLAIN):
            found[index] = client.ask("POST", f"/{index}/_search", body)[0]
            if index == INDEX and waits:
                _wait_for_shadow(served)
        pairs.append((found[PLAIN], found[INDEX]))
    _wait_for_shadow(served)
    return pairs


def _wait_for_shadow(served: Serving) -> None:
    """Wait until all shadows that began have been counted."""
    while True:
        with urlopen(f"{served.api_url}/metrics") as response:  # noqa: S310 - the product
            lines = response.read().decode().splitlines()
        begun = _sum(lines, "rescore_searches_total{")
        if begun == _sum(lines, "rescore_shadows_total{"):
            return


def _sum(lines: Sequence[str], start: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


def _added(rounds: Sequence[Pairs], share: float) -> Spread:
    """The spread of the rounds: a percentile with the plan less that without it."""
    return spread(
        (
            _percentile([with_plan for _, with_plan in pairs], share)
            - _percentile([without for without, _ in pairs], share)
            for pairs in rounds
        ),
        " ms",
        2,
    )


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]
