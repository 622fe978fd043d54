"""Which indexes belong together, and what their routes are."""

from __future__ import annotations

from typing import Any

from sidecar.first_configuration.index_families import (
    MOST_FAMILIES,
    MOST_NAMES,
    Listing,
    list_families,
    list_names,
)


def resolved(
    *indices: str,
    aliases: dict[str, list[str]] | None = None,
    streams: dict[str, list[str]] | None = None,
    attributes: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    """An answer to `_resolve/index`, as OpenSearch 3.8 writes it."""
    return {
        "indices": [
            {"name": name, "attributes": (attributes or {}).get(name, ["open"])} for name in indices
        ],
        "aliases": [{"name": name, "indices": to} for name, to in (aliases or {}).items()],
        "data_streams": [
            {"name": name, "backing_indices": behind, "timestamp_field": "@timestamp"}
            for name, behind in (streams or {}).items()
        ],
    }


def families(answer: dict[str, Any], *given: str) -> Listing:
    return list_families(answer, given, list_names(answer))


def routes(answer: dict[str, Any], *given: str) -> dict[str, list[str]]:
    return {
        family.name: [name for name, _ in family.routes]
        for family in families(answer, *given).families
    }


def test_names_that_differ_in_a_date_or_number_get_a_pattern() -> None:
    found = routes(
        resolved("docs-2024.01", "docs-2024.02", "shop_v1", "shop_v2", "wiki", "news-2024-05-06")
    )
    assert found == {
        "docs": ["docs-*"],
        "shop": ["shop_*"],
        "wiki": ["wiki"],
        "news": ["news-*"],
    }


def test_a_pattern_never_matches_an_index_of_another_kind() -> None:
    assert routes(resolved("docs-1", "docs-2", "docs-archive")) == {
        "docs": ["docs-1", "docs-2"],
        "docs-archive": ["docs-archive"],
    }


def test_clients_write_aliases() -> None:
    found = routes(
        resolved("shop_v3", "wiki", aliases={"shop": ["shop_v3"], "all": ["shop_v3", "wiki"]})
    )
    assert found == {"shop": ["shop", "shop_v3"], "wiki": ["wiki"]}
    assert routes(resolved(aliases={"shop": ["shop_v3"]}), "*") == {"shop": ["shop", "shop_v3"]}


def test_a_data_stream_goes_by_its_own_name() -> None:
    answer = resolved(".ds-logs-000001", streams={"logs": [".ds-logs-000001"]})
    assert routes(answer) == {"logs": ["logs"]}
    assert families(answer).left_out == {}


def test_what_is_left_out_says_why() -> None:
    answer = resolved(
        ".kibana_1",
        "old",
        "secret",
        "security-auditlog-2024.01.01",
        "wiki",
        attributes={"old": ["closed"], "secret": ["open", "hidden"]},
    )
    listing = families(answer)
    assert [family.name for family in listing.families] == ["wiki"]
    assert listing.left_out == {
        ".kibana_1": "hidden; name it with --index if people search it",
        "old": "closed; open it first",
        "secret": "hidden; name it with --index if people search it",
        "security-auditlog-2024.01.01": "written by OpenSearch itself",
    }
    assert "secret" in routes(answer, "*")


def test_the_number_of_kinds_and_names_is_bounded() -> None:
    listing = families(
        resolved(*(f"kind{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(200)))
    )
    assert len(listing.families) == MOST_FAMILIES
    assert len(listing.left_out) == 200 - MOST_FAMILIES
    many = resolved("docs-archive", *(f"docs-{n:03}" for n in range(100)))
    family = next(f for f in families(many).families if f.name == "docs")
    assert [name for name, _ in family.routes] == [f"docs-{n:03}" for n in range(100)][-MOST_NAMES:]


def test_an_answer_of_another_form_has_no_indexes() -> None:
    answers: tuple[dict[str, Any], ...] = (
        {},
        {"indices": None},
        {"indices": ["x"], "aliases": 3},
        {"indices": [{}]},
    )
    for answer in answers:
        assert families(answer).families == []


def test_a_pattern_that_may_match_unknown_names_is_only_taken_if_it_was_given() -> None:
    answer = resolved("docs-1", "docs-2")

    def names(given: tuple[str, ...], everything: frozenset[str] | None) -> list[str]:
        [family] = list_families(answer, given, everything).families
        return [name for name, _ in family.routes]

    assert names(("docs-1", "docs-2"), None) == ["docs-1", "docs-2"]
    assert names(("docs-*",), None) == ["docs-*"]
    known = frozenset({"docs-1", "docs-2", "docs-archive"})
    assert names(("docs-1", "docs-2"), known) == ["docs-1", "docs-2"]
