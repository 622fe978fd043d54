"""Writes the page `docs/quality.md` from the results of `benchmarks/quality.py`."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from statistics import fmean
from typing import Any

QUESTIONS = frozenset({"covidqa", "scifact", "squadshifts-wiki", "wikiqa"})
"""Collections of questions with short answers; the others are about topics, products and names."""

Row = Mapping[str, Any]

_BUCKETS = ("VERY_HIGH", "HIGH", "MEDIUM", "LOW")
_KENDRA_COLUMNS = tuple(
    f"{order}_{kept}" for kept in ("whole", "cut") for order in ("fused", "query", "retrieve")
)

_HEAD = """# Quality: what rescoring does to the order

Written by `make quality` (`benchmarks/quality.py`); do not edit by hand.

Each collection is indexed in a real OpenSearch {opensearch} and searched as an application would,
with `multi_match` on title and body. Documents are indexed in the order of a hash of their ids,
because OpenSearch breaks ties by the order of indexing, and the order in the files would favour
it. All judged queries are measured; if there are more than 500, a fixed-seed sample of 500.
Searches go through the proxy, with the plans that come with the sidecar (`config/plans/fused.yaml`,
`config/examples/fused-best.yaml`), and without a deadline. The models are all-MiniLM-L6-v2 and
bge-small-en-v1.5, prepared for OpenVINO with weights of one byte. nDCG@10 and MRR@10 are defined as
in trec_eval. The interval is the 95 % interval of a paired bootstrap with 10,000 resamples.
*Helped* and *harmed* are the shares of queries whose nDCG@10 rose or fell by more than 0.05.

{versions}
"""


def write_report(results: Mapping[str, Any]) -> str:
    """The whole page."""
    measured = results.get("measured", [])
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("rescore-sidecar", "openvino", "numpy", "icu4py")
    )
    parts = [
        _HEAD.format(
            opensearch=results["opensearch"],
            versions=f"{platform.machine()}, Python {platform.python_version()}, {versions}.",
        ),
        "## In short",
        "",
        *_summary(measured),
    ]
    for plan, analyzer, heading in (
        ("fused", "standard", "The plan `fused`"),
        ("fused", "english", "The plan `fused`, analyzer `english`"),
        ("fused-best", "standard", "The plan `fused-best`"),
        ("fused-best", "english", "The plan `fused-best`, analyzer `english`"),
        ("kendra-intelligent-ranking", "standard", "The plan `kendra-intelligent-ranking`"),
    ):
        rows = _select(measured, plan, analyzer)
        if rows:
            parts += ["", f"## {heading}", "", *_table(rows)]
    parts += [*_cold(results.get("cold", [])), *_kinds(measured), *_more_fields(measured)]
    if results.get("changed"):
        parts += ["", "## What each setting is worth", "", *_settings(results["changed"])]
    if results.get("apart"):
        parts += ["", "## Hits that stand apart", "", *_apart(results["apart"])]
    if results.get("kendra"):
        parts += ["", "## The order of the Kendra API", "", *_kendra(results["kendra"])]
    parts += ["", "## Collections", "", *_collections(results["collections"])]
    return "\n".join(parts) + "\n"


def _select(measured: Iterable[Row], plan: str, analyzer: str) -> list[Row]:
    return [row for row in measured if (row["plan"], row["analyzer"]) == (plan, analyzer)]


def _summary(measured: Sequence[Row]) -> list[str]:
    lines = [
        "| plan | analyzer | mean gain | questions | others | harmed / helped |"
        " significantly worse on |",
        "|---|---|---|---|---|---|---|",
    ]
    for plan, analyzer in dict.fromkeys((row["plan"], row["analyzer"]) for row in measured):
        rows = _select(measured, plan, analyzer)
        if len(rows) < 2:
            continue
        worse = ", ".join(row["collection"] for row in rows if row["high"] < 0) or "none"
        lines.append(
            f"| `{plan}` | {analyzer} | {_mean(rows):+.4f} |"
            f" {_mean(r for r in rows if r['collection'] in QUESTIONS):+.4f} |"
            f" {_mean(r for r in rows if r['collection'] not in QUESTIONS):+.4f} |"
            f" {sum(r['harmed'] for r in rows) / sum(r['helped'] for r in rows):.2f} | {worse} |"
        )
    return lines


def _mean(rows: Iterable[Row]) -> float:
    gains = [row["gain"] for row in rows]
    return fmean(gains) if gains else 0.0


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| collection | queries | before | after | gain | interval | MRR | helped | harmed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        mrr = f"{row['direct_mrr']:.3f} to {row['mrr']:.3f}"
        lines.append(
            f"| {row['collection']} | {row['queries']} | {row['direct_ndcg']:.4f} |"
            f" {row['ndcg']:.4f} | {row['gain']:+.4f} | {row['low']:+.3f} to {row['high']:+.3f} |"
            f" {mrr} | {row['helped']:.0%} | {row['harmed']:.0%} |"
        )
    direct, rescored = fmean(r["direct_ndcg"] for r in rows), fmean(r["ndcg"] for r in rows)
    lines.append(f"| mean | | {direct:.4f} | {rescored:.4f} | {_mean(rows):+.4f} | | | | |")
    outcomes: dict[str, int] = {}
    for row in rows:
        for name, count in row["outcomes"].items():
            outcomes[name] = outcomes.get(name, 0) + count
    told = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    return [*lines, "", f"Searches by outcome: {told}."]


def _cold(cold: Sequence[Row]) -> list[str]:
    """What is gained if the models read only some passages, as under a deadline."""
    if not cold:
        return []
    lines = [
        *("", "## Cold searches", ""),
        "What a search gains if nothing was read before and the deadline leaves time for some of a",
        "window's passages, analyzer `standard`; computed by the ranking core on the same windows.",
        "Two cores read 8 to 24 passages of all-MiniLM-L6-v2 in the shipped 200 ms. *Share* is the",
        "share of the gain with everything read.",
        "",
        "| plan | passages read | mean gain | share | covidqa | least gain | harmed / helped |",
        "|---|---|---|---|---|---|---|",
    ]
    for plan, read in dict.fromkeys((row["plan"], row["read"]) for row in cold):
        rows = [row for row in cold if (row["plan"], row["read"]) == (plan, read)]
        whole = _mean(row for row in cold if (row["plan"], row["read"]) == (plan, None))
        long = _mean(row for row in rows if row["collection"] == "covidqa")
        least = min(rows, key=lambda row: row["gain"])
        ratio = sum(row["harmed"] for row in rows) / sum(row["helped"] for row in rows)
        lines.append(
            f"| `{plan}` | {read or 'all'} | {_mean(rows):+.4f} | {_mean(rows) / whole:.0%} |"
            f" {long:+.4f} | {least['gain']:+.4f} {least['collection']} | {ratio:.2f} |"
        )
    return lines


def _kinds(measured: Sequence[Row]) -> list[str]:
    """Who is helped and harmed, by the kind of the query text, over all collections."""
    lines = []
    for plan, analyzer in (
        (plan, analyzer) for plan in ("fused", "fused-best") for analyzer in ("standard", "english")
    ):
        rows = _select(measured, plan, analyzer)
        for kind in rows[0]["kinds"] if rows else ():
            counts = [row["kinds"][kind] for row in rows]
            queries, gain, helped, harmed = (
                sum(one[place] for one in counts) for place in range(4)
            )
            if queries:
                lines.append(
                    f"| `{plan}` | {analyzer} | {kind} | {queries:,} | {gain / queries:+.4f} |"
                    f" {helped / queries:.0%} | {harmed / queries:.0%} |"
                )
    if not lines:
        return []
    return [
        *("", "## Kinds of query texts", ""),
        "Over the queries of all collections; a query with a digit is also counted by its length.",
        "",
        "| plan | analyzer | query text | queries | gain | helped | harmed |",
        "|---|---|---|---|---|---|---|",
        *lines,
    ]


def _more_fields(measured: Sequence[Row]) -> list[str]:
    lines: list[str] = []
    for row in measured:
        if row["plan"] == f"{row['collection']}-fields":
            lines += [
                "",
                f"With labelled fields besides title and text, `{row['collection']}` reaches"
                f" {row['ndcg']:.4f} ({row['gain']:+.4f}, {row['low']:+.3f} to {row['high']:+.3f};"
                f" helped {row['helped']:.0%}, harmed {row['harmed']:.0%}).",
            ]
    return lines and ["", "## Several fields", *lines]


def _apart(counted: Sequence[Row]) -> list[str]:
    where = ", ".join(f"{row['collection']} {row['apart']}" for row in counted if row["apart"])
    apart = sum(row["apart"] for row in counted)
    return [
        "No hit of these collections is pinned, so none should be taken for one (plans.md, Orders",
        "of your own). Windows with a hit that is taken for pinned or sunk:",
        f"{apart} of {sum(row['windows'] for row in counted):,}{f' ({where})' if where else ''}.",
    ]


def _settings(changed: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(row["setting"] for row in changed))
    by_name = {name: [row for row in changed if row["setting"] == name] for name in names}
    lines = [
        "`fused` with one setting changed, computed by the ranking core on the same windows, with",
        "at most 100 queries per collection. The last column names the collection with the highest",
        "ratio of harmed to helped queries.",
        "",
        f"Measured on {', '.join(dict.fromkeys(row['collection'] for row in changed))}.",
        "",
        "| setting | gain | questions | others | least gain | harmed / helped | at worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in by_name.items():
        least = min(rows, key=lambda row: row["gain"])
        worst = max(rows, key=_ratio)
        lines.append(
            f"| `{name}` | {_mean(rows):+.4f} |"
            f" {_mean(r for r in rows if r['collection'] in QUESTIONS):+.4f} |"
            f" {_mean(r for r in rows if r['collection'] not in QUESTIONS):+.4f} |"
            f" {least['gain']:+.4f} {least['collection']} |"
            f" {fmean(map(_ratio, rows)):.2f} | {_ratio(worst):.2f} {worst['collection']} |"
        )
    left_out = _leave_one_out(by_name)
    return [
        *lines,
        "",
        "Leave one collection out: if the best of these settings is chosen each time on all other",
        f"collections, the mean gain on the collection left out is {left_out:+.4f}.",
    ]


def _kendra(rows: Sequence[Row]) -> list[str]:
    """The order of documents of Query and Retrieve, compared with the proxy's."""
    lines = [
        "nDCG@10 of the documents that Query and Retrieve return (the first passage of each), with",
        "the plan `fused`, compared with the proxy, with the same plan on the same index. The API",
        "builds the search itself, over all searchable fields; through the proxy, the application",
        "does. Like Kendra, the API uses only 30 token words of a query text, unless",
        "`query_token_words` says more. So both are measured twice: with every word, and with",
        "texts cut to 30. Quotation marks, colons and the like have a meaning in Kendra's query",
        "language; *words alone* are the queries without them.",
        "",
        "| | | every word | | | 30 token words | | |",
        "|---|---|---|---|---|---|---|---|",
        "| collection | queries | proxy | Query | Retrieve | proxy | Query | Retrieve |",
    ]
    for row in rows:
        values = " | ".join(f"{row[name]:.4f}" for name in _KENDRA_COLUMNS)
        lines.append(f"| {row['collection']} | {row['queries']} | {values} |")
    whole = [row for row in rows if not row["collection"].endswith("words alone")]
    means = " | ".join(f"{fmean(row[name] for row in whole):.4f}" for name in _KENDRA_COLUMNS)
    return [*lines, f"| mean | | {means} |", "", *_confidence(whole)]


def _confidence(rows: Sequence[Row]) -> list[str]:
    """How many documents of each bucket of confidence are relevant."""
    lines = [
        "How many of the first ten documents of each query have each ScoreConfidence, and which",
        "share of these is judged relevant. Documents without a judgment count as not relevant.",
        "",
        f"| collection | {' | '.join(_BUCKETS)} |",
        f"|---|{'---|' * len(_BUCKETS)}",
    ]
    for row in rows:
        counted = (row["confidence"].get(bucket, (0, 0)) for bucket in _BUCKETS)
        cells = " | ".join(f"{r / n:.0%} of {n:,}" if n else "-" for n, r in counted)
        lines.append(f"| {row['collection']} | {cells} |")
    return lines


def _ratio(row: Row) -> float:
    return float(row["harmed"] / row["helped"]) if row["helped"] else float(bool(row["harmed"]))


def _leave_one_out(by_name: Mapping[str, Sequence[Row]]) -> float:
    collections = [row["collection"] for row in next(iter(by_name.values()))]
    gains = []
    for left in collections:
        best = max(
            by_name.values(),
            key=lambda rows: _mean(row for row in rows if row["collection"] != left),
        )
        gains += [row["gain"] for row in best if row["collection"] == left]
    return fmean(gains)


def _collections(collections: Mapping[str, Sequence[int]]) -> list[str]:
    lines = ["| collection | kind | queries measured | judged queries |", "|---|---|---|---|"]
    for name, (measured, known) in collections.items():
        kind = "questions" if name in QUESTIONS else "topics, products, names"
        lines.append(f"| {name} | {kind} | {measured} | {known} |")
    return [
        *lines,
        "",
        "None of these collections is part of this repository, except a sample of"
        " scifact (`sidecar/sample`).",
    ]
