"""The documents and questions that `benchmarks/kendra_answers.py` asks the Kendra API about.

A collection is cut to the documents that its questions are judged for, and a sample of others. The
sentences of WikiQA are put together to the articles that they are from, so that the API has to find
the sentence.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.judged_collections import JudgedCollection, read_collections

SEED = 18


@dataclass(frozen=True, slots=True)
class Licence:
    """What the licences of a collection's questions and documents allow this repository to show.

    `shows` is whether questions and excerpts may be shown. A document is shown only if its text has
    a match for `needs`, because some collections keep the licence of each document in it.
    """

    note: str
    shows: bool = True
    needs: re.Pattern[str] = field(default=re.compile(""))


LICENCES: Mapping[str, Licence] = {
    "squadshifts-wiki": Licence(
        "Figures only: the repository of SQuADShifts states no licence for its questions. Whoever "
        "has the collection sees the texts with `--all-texts`.",
        shows=False,
    ),
    "covidqa": Licence(
        "Questions: COVID-QA by deepset, Apache 2.0. Excerpts: from the papers that the titles "
        "name; only papers whose text says that their licence is CC BY are shown.",
        needs=re.compile(r"^License:\s*cc-by\s*$", re.MULTILINE),
    ),
    "wikiqa": Licence(
        "Figures only: the Microsoft Research Data License of WikiQA's questions and judgments is "
        "for research, and does not allow their publication here.",
        shows=False,
    ),
}
"""By collection; the collections that are measured, in the page's order."""


MOST_DOCUMENTS: Mapping[str, int] = {"squadshifts-wiki": 700, "covidqa": 60, "wikiqa": 100}
"""Documents of a collection that are indexed, so that a small machine reads them in minutes."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its judgments.

    `relevant`: ids of documents. `answers`: texts that are judged to be answers. `is_sentence`:
    whether an answer is a whole sentence of a document, not a part of one.
    """

    id: str
    text: str
    relevant: frozenset[str]
    answers: tuple[str, ...]
    is_sentence: bool = False


@dataclass(frozen=True, slots=True)
class AskedCollection:
    """A collection as it is indexed; `documents` have the members `_id`, `title` and `text`."""

    name: str
    documents: Sequence[Mapping[str, Any]]
    questions: Sequence[Question]

    @property
    def licence(self) -> Licence:
        return LICENCES[self.name]


def read_asked(
    folder: Path, names: Sequence[str], most_documents: int | None, most_questions: int
) -> list[AskedCollection]:
    """These collections of a folder; raises FileNotFoundError for one that is not there."""
    found = {collection.name: collection for collection in read_collections(folder)}
    if missing := [name for name in names if name not in found]:
        raise FileNotFoundError(f"{folder} has no collection {', '.join(missing)}")
    return [
        _cut(found[name], most_documents or MOST_DOCUMENTS[name], most_questions) for name in names
    ]


def _cut(collection: JudgedCollection, most_documents: int, most_questions: int) -> AskedCollection:
    draw = random.Random(SEED)  # noqa: S311  the same each time
    ids = sorted(collection.texts)
    chosen = sorted(draw.sample(ids, min(most_questions, len(ids))))
    documents = list(collection.documents())
    if collection.name == "wikiqa":
        sentences = {document["_id"]: document for document in documents}
        documents = list(_put_together(documents))
        questions = [_ask_for_sentence(collection, id_, sentences) for id_ in chosen]
    else:
        answers = _read_answers(collection.folder)
        questions = [
            Question(id_, collection.texts[id_], _relevant(collection, id_), answers[id_])
            for id_ in chosen
        ]
    judged = frozenset[str]().union(*(question.relevant for question in questions))
    others = sorted(each["_id"] for each in documents if each["_id"] not in judged)
    room = max(0, most_documents - len(judged))
    kept = judged.union(draw.sample(others, min(room, len(others))))
    return AskedCollection(
        collection.name, [each for each in documents if each["_id"] in kept], questions
    )


def _relevant(collection: JudgedCollection, question: str) -> frozenset[str]:
    grades = collection.qrels[question]
    return frozenset(document for document, grade in grades.items() if grade > 0)


def _put_together(sentences: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The articles of sentences, each sentence a line; a sentence's id is `ARTICLE-NUMBER`."""
    articles: dict[str, list[Mapping[str, Any]]] = {}
    for sentence in sentences:
        articles.setdefault(sentence["group"], []).append(sentence)
    for id_, parts in articles.items():
        parts.sort(key=lambda part: int(part["_id"].rpartition("-")[2]))
        text = "\n".join(part["text"] for part in parts)
        yield {"_id": id_, "title": parts[0]["title"], "text": text}


def _ask_for_sentence(
    collection: JudgedCollection, id_: str, sentences: Mapping[str, Mapping[str, Any]]
) -> Question:
    relevant = [sentences[each] for each in sorted(_relevant(collection, id_))]
    return Question(
        id_,
        collection.texts[id_],
        frozenset(each["group"] for each in relevant),
        tuple(each["text"] for each in relevant),
        is_sentence=True,
    )


def _read_answers(folder: Path) -> dict[str, tuple[str, ...]]:
    """The judged answers by question; a collection writes them as texts, or as objects."""
    with (folder / "queries.jsonl").open(encoding="utf-8") as lines:
        questions = [json.loads(line) for line in lines]
    return {
        question["_id"]: tuple(
            answer if isinstance(answer, str) else answer["text"] for answer in question["answers"]
        )
        for question in questions
    }
