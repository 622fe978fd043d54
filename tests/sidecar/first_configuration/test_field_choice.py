"""Which fields are chosen, by mapping, names and documents together."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.first_configuration.field_choice import FieldChoice, choose_fields
from sidecar.first_configuration.field_values import list_fields

PROSE = (
    "The harbour pilot climbs aboard at the outer buoy and guides the ship number {n} past the"
    " sand bars, while the crew prepares ropes and fenders for the quay wall of the old town."
)
COLOURS = ("Deep Red", "Sea Green", "Sky Blue")
MAKERS = ("Acme Tools", "Northern Works", "Bolt & Sons")


def documents(**makers: Any) -> list[dict[str, Any]]:
    return [{name: make(n) for name, make in makers.items()} for n in range(30)]


def choose(fields: dict[str, str], sources: list[dict[str, Any]]) -> FieldChoice:
    return choose_fields(fields, sources)


def title(choice: FieldChoice) -> str | None:
    return choice.title.name if choice.title else None


def names(chosen: Any) -> list[str]:
    return [each.name for each in chosen]


def test_articles_have_title_body_and_labels_with_figures() -> None:
    choice = choose(
        {"headline": "text", "article": "text", "section": "keyword", "maker": "text"},
        documents(
            headline=lambda n: f"Ship {n} reaches the port",
            article=lambda n: PROSE.format(n=n),
            section=lambda n: COLOURS[n % 3],
            maker=lambda n: MAKERS[n % 3],
        ),
    )
    assert title(choice) == "headline"
    assert names(choice.bodies) == ["article"]
    assert [(each.name, each.label) for each in choice.labels] == [
        ("maker", "Maker"),
        ("section", "Section"),
    ]
    assert choice.title
    assert choice.title.why == "median 5 words, in 100% of 30 documents"
    assert "10% different, of type keyword" in choice.labels[1].why


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (lambda n: f"{n * 17}", "numbers"),
        (lambda n: f"{n},50 €", "numbers"),
        (lambda n: f"2024-03-{n + 1:02}", "dates"),
        (lambda n: f"Review of March, {1990 + n}", "dates"),
        (lambda n: f"https://example.org/{n}", "addresses"),
        (lambda n: f"person{n}@example.org", "addresses"),
        (lambda n: f"A-{n:05}", "codes"),
        (lambda n: f"6f1c{n:028x}", "codes"),
        (lambda n: f'{{"a": {n}}}', "JSON"),
        (lambda n: "QUJD" * 100 + str(n), "codes|JSON"),
        (lambda n: "", "empty"),
    ],
)
def test_values_that_are_no_text_are_left_out_whatever_the_name_says(
    values: Any, reason: str
) -> None:
    choice = choose(
        {"title": "text", "body": "text"},
        documents(title=values, body=lambda n: PROSE.format(n=n)),
    )
    assert title(choice) is None
    assert names(choice.bodies) == ["body"]
    assert any(word in choice.left_out["title"] for word in reason.split("|"))


def test_types_that_cannot_be_text_say_what_they_are() -> None:
    fields = {
        "body": "text",
        "vector": "knn_vector",
        "made": "date",
        "price": "float",
        "place": "geo_point",
        "odd": "made_up",
    }
    choice = choose(fields, documents(body=lambda n: PROSE.format(n=n)))
    assert choice.left_out == {
        "vector": "a vector",
        "made": "a date",
        "price": "a number",
        "place": "a place",
        "odd": "of type made_up",
    }


def test_labels_are_categories_not_codes_states_or_names_of_people() -> None:
    fields = dict.fromkeys(
        ("title", "colour", "kind", "state", "status", "nurse", "tenant", "lang"), "text"
    )
    choice = choose(
        fields,
        documents(
            title=lambda n: f"Garden hose {n} with a brass nozzle",
            colour=lambda n: COLOURS[n % 3],
            kind=lambda n: MAKERS[n % 3],
            state=lambda n: COLOURS[n % 2],
            status=lambda n: COLOURS[n % 2],
            nurse=lambda n: f"Person Number {chr(65 + n)}lpha",
            tenant=lambda n: "One Tenant",
            lang=lambda n: "de",
        ),
    )
    assert names(choice.labels) == ["colour", "kind"]
    assert "code" in choice.left_out["state"]
    assert "differs in most documents" in choice.left_out["nurse"]
    assert choice.left_out["tenant"] == "the same in every document"
    assert choice.left_out["lang"] == "codes or ids"


def test_states_in_lower_case_are_no_labels() -> None:
    choice = choose(
        {"title": "text", "phase": "text"},
        documents(
            title=lambda n: f"Garden hose {n} with a nozzle",
            phase=lambda n: ("draft", "published")[n % 2],
        ),
    )
    assert choice.labels == ()
    assert choice.left_out["phase"] == "looks like a state or a code"


def test_a_keyword_is_a_label_only_by_its_name() -> None:
    choice = choose(
        {"title": "text", "brand": "keyword", "bucket": "keyword"},
        documents(
            title=lambda n: f"Garden hose {n} with a nozzle",
            brand=lambda n: MAKERS[n % 3],
            bucket=lambda n: MAKERS[n % 3],
        ),
    )
    assert names(choice.labels) == ["brand"]
    assert choice.left_out["bucket"] == "exact values (keyword), not text"


def test_repetitions_are_read_once() -> None:
    choice = choose(
        dict.fromkeys(("title", "summary", "content", "genres", "genre", "copy"), "text"),
        documents(
            title=lambda n: f"Ship {n} reaches the port",
            content=lambda n: PROSE.format(n=n),
            summary=lambda n: PROSE.format(n=n)[:100],
            copy=lambda n: PROSE.format(n=n),
            genres=lambda n: [COLOURS[n % 3], "Common Things"],
            genre=lambda n: COLOURS[n % 3],
        ),
    )
    assert names(choice.bodies) == ["content"]
    assert choice.left_out["summary"] == "a part of content"
    assert choice.left_out["copy"] == "a part of content"
    assert names(choice.labels) == ["genres"]
    assert choice.left_out["genre"] == "its values are in genres too"


def test_without_names_that_are_known_the_documents_decide() -> None:
    choice = choose(
        {"ueberschrift": "text", "inhalt": "text", "farbe": "text"},
        documents(
            ueberschrift=lambda n: f"Schiff {n} im Hafen",
            inhalt=lambda n: PROSE.format(n=n),
            farbe=lambda n: COLOURS[n % 3],
        ),
    )
    assert (title(choice), names(choice.bodies)) == ("ueberschrift", ["inhalt"])
    assert names(choice.labels) == ["farbe"]


def test_scripts_without_blanks_are_long_too() -> None:
    long = "港の水先案内人は外側の浮標で船に乗り込み、砂州を避けながら船を案内する。" * 3
    choice = choose(
        {"midashi": "text", "honbun": "text"},
        documents(midashi=lambda n: f"港に着く船 {n} 号", honbun=lambda n: f"{long}{n}"),
    )
    assert names(choice.bodies) == ["honbun"]


def test_a_part_of_the_documents_with_a_body_is_enough() -> None:
    choice = choose(
        {"title": "text", "abstract": "text"},
        documents(
            title=lambda n: f"Ship {n} reaches the port",
            abstract=lambda n: PROSE.format(n=n) if n % 3 == 0 else "",
        ),
    )
    assert names(choice.bodies) == ["abstract"]
    assert "in 33% of 30 documents" in choice.bodies[0].why


def test_nested_text_goes_by_its_path_and_lists_are_no_title() -> None:
    mapping = {
        "properties": {
            "product": {
                "properties": {
                    "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
                    "brand": {"properties": {"name": {"type": "keyword"}}},
                }
            },
            "chapters": {
                "type": "nested",
                "properties": {"title": {"type": "text"}, "text": {"type": "text"}},
            },
            "heading": {"type": "alias", "path": "product.title"},
            "raw": {"type": "object", "enabled": False},
        }
    }
    fields = list_fields(mapping)
    assert fields == {
        "product.title": "text",
        "product.brand.name": "keyword",
        "chapters.title": "text",
        "chapters.text": "text",
    }
    choice = choose(
        fields,
        documents(
            product=lambda n: {
                "title": f"Book {n} about ships",
                "brand": {"name": MAKERS[n % 3]},
            },
            chapters=lambda n: [
                {"title": f"Part {n} {k}", "text": PROSE.format(n=n * k)} for k in (1, 2)
            ],
        ),
    )
    assert title(choice) == "product.title"
    assert names(choice.bodies) == ["chapters.text"]
    assert [(each.name, each.label) for each in choice.labels] == [("product.brand.name", "Brand")]


def test_a_mapping_is_read_within_bounds() -> None:
    level: dict[str, Any] = {"properties": {"leaf": {"type": "text"}}}
    for _ in range(500):
        level = {"properties": {"inner": level, "leaf": {"type": "text"}}}
    assert len(list_fields(level)) == 21
    wide = {"properties": {f"f{n}": {"type": "text"} for n in range(5000)}}
    assert len(list_fields(wide)) == 1000
    assert list_fields({"properties": {"a": None, "b": []}}) == {}


def test_an_index_of_events_has_nothing_to_read() -> None:
    choice = choose(
        {"host": "text", "code": "text", "@timestamp": "date"},
        documents(host=lambda n: f"node{n}", code=lambda n: f"E{n}"),
    )
    assert choice.is_empty
    assert choice.labels == ()
    assert set(choice.left_out) == {"host", "code", "@timestamp"}
