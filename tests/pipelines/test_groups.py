from __future__ import annotations

from pipelines.documents import Document
from pipelines.groups import Group, group_documents


def document(position: int, value: str | None, score: float = 1.0) -> Document:
    return Document(position, "", "", score, value)


def test_documents_that_share_a_value_are_one_group_in_order_of_first_appearance() -> None:
    a0, b1, a2, b3 = (document(i, value) for i, value in enumerate("abab"))
    assert group_documents([a0, b1, a2, b3]) == [Group("a", (a0, a2)), Group("b", (b1, b3))]


def test_a_hit_of_its_own_never_meets_a_value_that_spells_its_position() -> None:
    first, second, third = document(0, "1"), document(1, None), document(2, None)
    assert group_documents([first, second, third]) == [
        Group("1", (first,)),
        Group(1, (second,)),
        Group(2, (third,)),
    ]


def test_the_original_score_of_a_group_is_its_best_documents() -> None:
    assert Group("a", (document(0, "a", 2.0), document(1, "a", 5.0))).original_score == 5.0


def test_no_documents_no_groups() -> None:
    assert group_documents([]) == []
