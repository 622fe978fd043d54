"""Turns clicks into relevance judgments, without the advantage of the ranks where hits were shown.

The position-based model: a user clicks a hit if they look at its rank and find it relevant, so
P(click) = looks(rank) x relevance(query, document), with looks(rank) = 1 / rank^bias.

- `estimate_bias` compares the clicks of the same document for the same query at different ranks
  (Agarwal et al., "Estimating Position Bias without Intrusive Interventions", WSDM 2019). Given how
  many clicks a pair got in all, their expected shares by rank do not depend on its relevance. The
  estimate solves that likelihood's equation, which is unbiased for any relevance.
- `judge_clicks` weights each click by 1 / looks(rank), at most MOST_WEIGHT (Joachims, Swaminathan
  and Schnabel, "Unbiased Learning-to-Rank with Biased Feedback", WSDM 2017). The sum is divided by
  what the weights would sum up to if every look were a click, so clipping causes no bias.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from sidecar.evaluation.impressions import Impression

MOST_WEIGHT = 10.0
MOST_QUERIES = 500
"""The most frequent queries are used; each costs a search and the model's time."""

LEAST_PAGES = 5
"""A query that was shown less often says too little."""

_MOST_BIAS = 4.0
_LARGEST_ERROR = 0.25
_STEPS = 60

# Of one query: by document and rank (counted from 1), how often it was shown and clicked there.
_Counts = dict[tuple[str, int], list[int]]


class TooFewClicks(ValueError):
    """The clicks cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ClickJudgments:
    """Grades from 0 to 1 by query text and document id, and where they come from."""

    grades: Mapping[str, Mapping[str, float]]
    bias: float
    error: float | None
    """The standard error of `bias`; None if it was given."""

    pages: int
    clicks: int

    @property
    def remark(self) -> str:
        """One sentence on their origin."""
        how = "as given" if self.error is None else f"estimated, standard error {self.error:.2f}"
        return (
            f"Judgments are from {self.clicks:,} clicks on {self.pages:,} pages; a rank's share of"
            f" looks is 1/rank^{self.bias:.2f} ({how})."
        )


def judge_clicks(impressions: Iterable[Impression], bias: float | None = None) -> ClickJudgments:
    """Judge the documents of the most frequent queries that have clicks.

    `bias` is estimated if it is None. Raises TooFewClicks, and what reading the pages raises.
    """
    counts: defaultdict[str, _Counts] = defaultdict(dict)
    pages: Counter[str] = Counter()
    clicks = 0
    for page in impressions:
        pages[page.query_text] += 1
        clicks += len(page.clicked)
        of_query = counts[page.query_text]
        for place, document in enumerate(page.shown):
            entry = of_query.setdefault((document, place + 1), [0, 0])
            entry[0] += 1
            entry[1] += place in page.clicked
    error = None
    if bias is None:
        bias, error = estimate_bias(counts.values())
    grades: dict[str, dict[str, float]] = {}
    for query, shown in pages.most_common():
        if shown < LEAST_PAGES or len(grades) == MOST_QUERIES:
            break
        if any(clicked for _, clicked in counts[query].values()):
            grades[query] = _grade(counts[query], bias)
    if not grades:
        raise TooFewClicks(
            f"no query was shown at least {LEAST_PAGES} times and clicked; collect more clicks"
        )
    return ClickJudgments(grades, bias, error, pages.total(), clicks)


def _grade(counts: _Counts, bias: float) -> dict[str, float]:
    """The relevance of each document: weighted clicks by weighted looks, at most 1."""
    clicked: defaultdict[str, float] = defaultdict(float)
    looked: defaultdict[str, float] = defaultdict(float)
    for (document, rank), (shown, clicks) in counts.items():
        looks = rank**-bias
        weight = min(1 / looks, MOST_WEIGHT)
        clicked[document] += weight * clicks
        looked[document] += weight * looks * shown
    return {document: min(1.0, clicked[document] / looked[document]) for document in looked}


def estimate_bias(queries: Iterable[_Counts]) -> tuple[float, float]:
    """The bias and its standard error; raises TooFewClicks.

    For each pair of query and document that was shown at two ranks or more, `clicks` at each rank
    are compared with the share that 1 / rank^bias gives them.
    """
    logs, shown, clicked, pair_of = _list_pairs(queries)
    pairs = int(pair_of[-1]) + 1 if len(pair_of) else 0
    totals = np.bincount(pair_of, clicked, pairs)

    def moments(bias: float) -> tuple[float, float]:
        """The equation's value, which falls with `bias`, and its information."""
        looks = shown * np.exp(-bias * logs)
        share = looks / np.bincount(pair_of, looks, pairs)[pair_of]
        mean = np.bincount(pair_of, share * logs, pairs)
        square = np.bincount(pair_of, share * logs * logs, pairs)
        value = float(np.sum(totals * mean) - np.sum(clicked * logs))
        return value, float(np.sum(totals * (square - mean * mean)))

    low, high = 0.0, _MOST_BIAS
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if moments(middle)[0] > 0:
            low = middle
        else:
            high = middle
    bias = (low + high) / 2
    information = moments(bias)[1] if pairs else 0.0
    error = 1 / sqrt(information) if information > 0 else float("inf")
    if error > _LARGEST_ERROR:
        raise TooFewClicks(
            "too few documents were shown at different ranks for the same query and clicked, so"
            " the advantage of high ranks is not known; give it with --propensity (1 is common)"
        )
    return bias, error


def _list_pairs(
    queries: Iterable[_Counts],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Logarithm of the rank, pages, clicks, and the pair's number, for each pair and rank."""
    rows: list[tuple[float, int, int, int]] = []
    pair = 0
    for counts in queries:
        by_document: defaultdict[str, list[tuple[int, Sequence[int]]]] = defaultdict(list)
        for (document, rank), entry in counts.items():
            by_document[document].append((rank, entry))
        for ranks in by_document.values():
            if len(ranks) > 1 and any(entry[1] for _, entry in ranks):
                rows += [(log(rank), entry[0], entry[1], pair) for rank, entry in ranks]
                pair += 1
    columns = np.array(rows, np.float64).reshape(-1, 4)
    return columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3].astype(np.int64)
