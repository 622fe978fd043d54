from __future__ import annotations

from typing import Any

from benchmarks.quality_report import write_report


def row(collection: str, gain: float, **changes: Any) -> dict[str, Any]:
    return {
        "collection": collection,
        "analyzer": "standard",
        "plan": "fused",
        "queries": 10,
        "direct_ndcg": 0.5,
        "ndcg": 0.5 + gain,
        "direct_mrr": 0.4,
        "mrr": 0.6,
        "gain": gain,
        "low": gain - 0.02,
        "high": gain + 0.02,
        "helped": 0.4,
        "harmed": 0.1,
        "kinds": {"1 to 3 words": [4, 0.4, 2, 1], "over 60 words": [0, 0.0, 0, 0]},
        "outcomes": {"applied": 9, "partial reason=deadline": 1},
        **changes,
    }


def changed(setting: str, collection: str, gain: float, harmed: float = 0.1) -> dict[str, Any]:
    return {
        "collection": collection,
        "setting": setting,
        "gain": gain,
        "helped": 0.4,
        "harmed": harmed,
    }


def report(measured: list[dict[str, Any]], settings: list[dict[str, Any]] | None = None) -> str:
    return write_report(
        {
            "opensearch": "3.8.0",
            "collections": {"wikiqa": [10, 20], "cacm": [5, 5]},
            "measured": measured,
            "changed": settings or [],
        }
    )


def test_questions_and_others_are_told_apart_and_a_loss_is_named() -> None:
    page = report([row("wikiqa", 0.2), row("cacm", -0.1)])
    assert "| `fused` | standard | +0.0500 | +0.2000 | -0.1000 | 0.25 | cacm |" in page
    assert "| `fused` | standard | 1 to 3 words | 8 | +0.1000 | 50% | 25% |" in page
    assert "over 60 words" not in page
    assert "| wikiqa | 10 | 0.5000 | 0.7000 | +0.2000 | +0.180 to +0.220 |" in page
    assert "Searches by outcome: 18 applied, 2 partial reason=deadline." in page


def test_the_collection_that_is_left_out_has_no_part_in_the_choice() -> None:
    settings = [
        # "a" is best for wikiqa, so it is what cacm gets, and the other way round.
        *(changed("a", "wikiqa", 0.3), changed("a", "cacm", 0.01)),
        *(changed("b", "wikiqa", 0.02), changed("b", "cacm", 0.2, harmed=0.3)),
    ]
    page = report([], settings)
    assert "the mean gain on the collection left out is +0.0150." in page
    assert "| `b` | +0.1100 | +0.0200 | +0.2000 | +0.0200 wikiqa | 0.50 | 0.75 cacm |" in page


def test_cold_searches_have_a_share_of_what_everything_read_gains() -> None:
    page = write_report(
        {
            "opensearch": "3.8.0",
            "collections": {"wikiqa": [10, 20]},
            "cold": [
                {**changed("", name, gain), "plan": "fused", "read": read}
                for name, read, gain in (
                    *(("wikiqa", 8, 0.1), ("covidqa", 8, 0.2)),
                    *(("wikiqa", None, 0.2), ("covidqa", None, 0.2)),
                )
            ],
        }
    )
    assert "| `fused` | 8 | +0.1500 | 75% | +0.2000 | +0.1000 wikiqa | 0.25 |" in page


def test_a_plan_with_more_fields_has_a_paragraph_of_its_own() -> None:
    page = report([row("msrd-movies", 0.06, plan="msrd-movies-fields")])
    assert "`msrd-movies` reaches 0.5600 (+0.0600, +0.040 to +0.080;" in page
