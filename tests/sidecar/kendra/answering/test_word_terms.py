"""OpenSearch is asked for the terms of a word only once."""

from collections.abc import Mapping
from typing import Any

import pytest

from sidecar.kendra.answering.highlights import Term
from sidecar.kendra.answering.word_terms import WordTerms


class Analyzer:
    """Answers `_analyze` like an analyzer that removes a final s."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def __call__(self, body: dict[str, Any]) -> Mapping[str, Any] | None:
        self.batches.append(body["text"])
        tokens = []
        at = 0
        for run in body["text"]:
            tokens.append(
                {
                    "token": run.lower().removesuffix("s"),
                    "start_offset": at,
                    "end_offset": at + len(run),
                    "type": "<ALPHANUM>",
                }
            )
            at += len(run) + 1
        return {"tokens": tokens}


async def test_only_words_that_are_not_known_are_asked_for() -> None:
    words, analyze = WordTerms(), Analyzer()
    terms = await words.learn("body", ["Cells and cell", "cell."], analyze)
    assert terms["Cells"] == (Term("cell", 0, 5),)
    await words.learn("body", ["cell and nuclei", "Cells"], analyze)
    await words.learn("body", ["nuclei"], analyze)
    assert analyze.batches == [["Cells", "and", "cell"], ["nuclei"]]


async def test_punctuation_is_not_asked_for_but_counts_in_offsets() -> None:
    words, analyze = WordTerms(), Analyzer()
    terms = await words.learn("body", ['("Cells") -- cells'], analyze)
    assert terms['("Cells")'] == (Term("cell", 2, 7),)
    assert terms["--"] == ()
    assert analyze.batches == [["Cells", "cells"]]


async def test_fields_have_analyzers_of_their_own() -> None:
    words, analyze = WordTerms(), Analyzer()
    await words.learn("body", ["cell"], analyze)
    await words.learn("title", ["cell"], analyze)
    assert analyze.batches == [["cell"], ["cell"]]


async def test_many_words_are_asked_for_in_parts() -> None:
    words, analyze = WordTerms(), Analyzer()
    terms = await words.learn("body", [" ".join(f"w{n}" for n in range(4500))], analyze)
    assert len(terms) == 4500
    assert [len(batch) for batch in analyze.batches] == [2000, 2000, 500]


async def test_the_oldest_words_are_forgotten() -> None:
    words, analyze = WordTerms(most=3), Analyzer()
    await words.learn("body", ["a1 a2 a3"], analyze)
    assert (await words.learn("body", ["a4 a5"], analyze)).keys() == {"a4", "a5"}
    await words.learn("body", ["a3 a4 a5"], analyze)
    assert len(analyze.batches) == 2
    await words.learn("body", ["a1"], analyze)
    assert analyze.batches[-1] == ["a1"]


@pytest.mark.parametrize("answer", [None, {}, {"tokens": None}, {"tokens": [{"token": "x"}]}])
async def test_without_an_answer_words_are_compared_in_lower_case(
    answer: Mapping[str, Any] | None,
) -> None:
    async def refuse(body: dict[str, Any]) -> Mapping[str, Any] | None:
        return answer

    words, analyze = WordTerms(), Analyzer()
    assert await words.learn("body", ["Cells"], refuse) == {"Cells": (Term("cells", 0, 5),)}
    # A guess is not cached: the next request asks again.
    assert await words.learn("body", ["Cells"], analyze) == {"Cells": (Term("cell", 0, 5),)}
