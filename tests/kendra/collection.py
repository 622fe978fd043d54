"""A collection of some hundred documents with attributes, owners, dates, and questions.

Most are abstracts of the bundled sample. Their categories, authors, dates, view counts, labs and
access lists are computed from their numbers, so a test can compute every value again. Some have no
date, no count and no lab. A few documents are written here, for words that no abstract has. A few
are long.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch, helpers

INDEX = "papers"
FAQ_INDEX = "papers-faq"

_SAMPLE = Path(__file__).parents[2] / "sidecar" / "sample"
_ABSTRACTS = 300
_CATEGORIES = ("genetics", "immunology", "oncology")
_LABS = ("Curie", "Darwin", "Franklin", "Hopper", "Meitner")
_AUTHORS = ("Ada", "Bea", "Cyd", "Dov", "Eli", "Fay", "Gus")
_START = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may see a document. Groups of a data source are written `source|group`."""

    user_allow: tuple[str, ...] = ()
    user_deny: tuple[str, ...] = ()
    group_allow: tuple[str, ...] = ()
    group_deny: tuple[str, ...] = ()
    data_source_group_allow: tuple[str, ...] = ()
    data_source_group_deny: tuple[str, ...] = ()

    def lets_in(
        self, user: str | None = None, groups: Sequence[str] = (), sources: Sequence[str] = ()
    ) -> bool:
        """Whether a user may see it: the rule of Kendra's guide, not taken from our filter."""
        denied = (
            user in self.user_deny
            or set(groups) & set(self.group_deny)
            or set(sources) & set(self.data_source_group_deny)
        )
        if denied:
            return False
        if not (self.user_allow or self.group_allow or self.data_source_group_allow):
            return True
        return bool(
            user in self.user_allow
            or set(groups) & set(self.group_allow)
            or set(sources) & set(self.data_source_group_allow)
        )


_ACCESS = (
    Access(),
    Access(),
    Access(user_allow=("ann",)),
    Access(),
    Access(group_allow=("staff",)),
    Access(user_deny=("bob",)),
    Access(group_allow=("staff",), user_deny=("bob",)),
    Access(group_deny=("interns",)),
    Access(data_source_group_allow=("wiki|editors",)),
    Access(user_allow=("ann", "bob"), group_deny=("interns",)),
    Access(user_allow=("eve",), data_source_group_deny=("wiki|guests",)),
)


@dataclass(frozen=True, slots=True)
class Paper:
    """One document of the index."""

    id: str
    title: str
    body: str
    category: str
    authors: tuple[str, ...]
    created: datetime | None = None
    views: int | None = None
    lab: str | None = None
    language: str | None = "en"
    access: Access = field(default_factory=Access)

    @property
    def uri(self) -> str:
        return f"https://papers.example/{self.id}"


WRITTEN = (
    Paper("kettle-1", "Copper kettles", "A copper kettle boils water quickly. " * 3, "household",
          ("Zoe",), datetime(2023, 5, 1, 12, 30, 10, tzinfo=UTC), 40, "Tea"),
    Paper("kettle-2", "Steel kettles", "A steel kettle boils water slowly.\n\nIt lasts longer.",
          "household", ("Zoe", "Yan"), datetime(2022, 5, 1, tzinfo=UTC), 20, "Tea"),
    Paper("kettle-3", "A kettle", "\U0001f600 My kettle \u2014 the na\u00efve one \u2014 sings. "
          "Kettles sing \U0001f600 when they boil.", "household", ("Yan",), None, None, None),
    Paper("kettle-4", "Kettle drums", "Kettle drums are not for boiling water.", "music", ("Xia",),
          datetime(2021, 5, 1, tzinfo=UTC), 30, "Drums"),
    Paper("kettle-5", "Wasserkessel", "Der kettle ist aus Kupfer.", "household", ("Yan",),
          datetime(2019, 5, 1, tzinfo=UTC), 10, None, "de"),
    Paper("scripts-1", "हिन्दी", "दिल्ली में हिन्दी, বাংলা ভাষা, தமிழ் மொழி, שָׁלוֹם and a cafe\u0301, "
          "\u0643\u0650\u062a\u064e\u0627\u0628\u064c, \u0e17\u0e35\u0e48. A tretment, misspelt.",
          "review", ("Rev",), datetime(2018, 5, 1, tzinfo=UTC), None, None, None),
    # Words, values and a category that no other document has, and that only ann may learn of.
    Paper("secret-1", "Project nightingale", "The nightingale kettle sings at midnight. Only ann "
          "knows of the nightingale kettle.", "mallorys", ("Mallory",),
          datetime(2030, 1, 1, tzinfo=UTC), 1_000_000, "Hidden",
          access=Access(user_allow=("ann",))),
    Paper("secret-2", "The quagsire file", "A quagsire kettle that bob shall never see, and all "
          "the others may.", "embargoed", ("Trent",), datetime(2031, 1, 1, tzinfo=UTC),
          2_000_000, "Sealed", access=Access(user_deny=("bob",))),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One entry of the questions and answers."""

    id: str
    question: str
    answer: str
    category: str = "household"
    access: Access = field(default_factory=Access)


QUESTIONS = (
    Question("faq-1", "How do I descale a kettle?", "Boil water with vinegar in it, then rinse."),
    Question("faq-2", "How do I descale a copper kettle?", "Use citric acid. " * 30),
    Question("faq-3", "How do I descale a steel kettle?", "Use vinegar."),
    Question("faq-4", "How often do I descale a kettle?", "Once a month.", "music"),
    Question("faq-5", "Why do I descale a kettle?", "Lime keeps the heat out."),
    Question("faq-6", "How do I descale the nightingale kettle?", "Ask ann.",
             access=Access(user_allow=("ann",))),
)  # fmt: skip


@cache
def papers() -> tuple[Paper, ...]:
    """The whole collection: judged abstracts, then other abstracts, then documents made here."""
    with gzip.open(_SAMPLE / "corpus.jsonl.gz", "rt") as lines:
        corpus = {entry["_id"]: entry for entry in map(json.loads, lines)}
    judged = [line.split("\t")[1] for line in _lines("qrels.tsv")[1:]]
    chosen = list(dict.fromkeys([*judged, *corpus]))[:_ABSTRACTS]
    abstracts = [
        Paper(
            name,
            corpus[name]["title"],
            corpus[name]["text"],
            _CATEGORIES[number % 3],
            tuple(_AUTHORS[(number + step) % 7] for step in range(1 + number % 3)),
            None if number % 10 == 9 else _START + timedelta(days=number * 3, hours=number % 24),
            None if number % 7 == 6 else (number * 37) % 500,
            None if number % 6 == 5 else _LABS[number % 5],
            access=_ACCESS[number % len(_ACCESS)],
        )
        for number, name in enumerate(chosen)
    ]
    # Long documents: each joins several of the other abstracts.
    others = [name for name in corpus if name not in set(chosen)]
    reviews = [
        Paper(
            f"review-{number}",
            f"Review {number}",
            "\n\n".join(corpus[name]["text"] for name in others[number * 5 : number * 5 + 5]),
            "review",
            ("Rev",),
        )
        for number in range(4)
    ]
    return (*abstracts, *reviews, *WRITTEN)


@cache
def judgments() -> dict[str, tuple[str, frozenset[str]]]:
    """By query id: the text and the relevant documents; only queries that have such documents."""
    known = {paper.id for paper in papers()}
    texts = {entry["_id"]: entry["text"] for entry in map(json.loads, _lines("queries.jsonl"))}
    relevant: dict[str, set[str]] = {}
    for line in _lines("qrels.tsv")[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0 and document in known:
            relevant.setdefault(query, set()).add(document)
    return {query: (texts[query], frozenset(ids)) for query, ids in relevant.items()}


def load(url: str) -> None:
    """Index the collection and its questions. Earlier indices with these names are deleted."""
    client = OpenSearch(url)
    for index, properties in ((INDEX, _PAPER_MAPPING), (FAQ_INDEX, _QUESTION_MAPPING)):
        client.indices.delete(index=index, ignore_unavailable=True)
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        body = {"settings": settings, "mappings": {"properties": {**properties, **_ACL_MAPPING}}}
        client.indices.create(index=index, body=body)
    helpers.bulk(client, _actions(), refresh=True)
    client.close()


def unload(url: str) -> None:
    """Delete both indices."""
    client = OpenSearch(url)
    client.indices.delete(index=f"{INDEX},{FAQ_INDEX}")
    client.close()


def _lines(name: str) -> list[str]:
    return (_SAMPLE / name).read_text().splitlines()


_TEXT = {"type": "text", "analyzer": "english"}
_KEYWORD = {"type": "keyword"}
_ACL = ("user_allow", "user_deny", "group_allow", "group_deny")
_SOURCE_ACL = ("data_source_group_allow", "data_source_group_deny")
_ACL_MAPPING = {f"_acl_{name}": _KEYWORD for name in (*_ACL, *_SOURCE_ACL)}

# Fields have other names than the attributes, as in an index that existed before the sidecar.
_PAPER_MAPPING = {
    "heading": _TEXT,
    "content": {**_TEXT, "fields": {"spell": {"type": "text"}}},
    "link": {"type": "keyword", "index": False},
    "meta": {
        "properties": {
            "category": {"type": "keyword", "fields": {"text": {"type": "text"}}},
            "authors": _KEYWORD,
            "author_count": {"type": "integer"},
            "created": {"type": "date", "format": "epoch_second||strict_date_optional_time"},
            "views": {"type": "long"},
            "language": _KEYWORD,
        }
    },
    "Lab": _KEYWORD,
}
_QUESTION_MAPPING = {
    "question": _TEXT,
    "answer": _TEXT,
    "meta": {"properties": {"category": _KEYWORD}},
}


def _actions() -> Iterable[dict[str, Any]]:
    for paper in papers():
        meta: dict[str, Any] = {
            "category": paper.category,
            "authors": list(paper.authors),
            "author_count": len(paper.authors),
        }
        if paper.created is not None:
            meta["created"] = paper.created.isoformat()
        if paper.views is not None:
            meta["views"] = paper.views
        if paper.language is not None:
            meta["language"] = paper.language
        source = {"heading": paper.title, "content": paper.body, "link": paper.uri, "meta": meta}
        if paper.lab is not None:
            source["Lab"] = paper.lab
        yield {"_index": INDEX, "_id": paper.id, **source, **_acl(paper.access)}
    for entry in QUESTIONS:
        yield {
            "_index": FAQ_INDEX,
            "_id": entry.id,
            "question": entry.question,
            "answer": entry.answer,
            "meta": {"category": entry.category},
            **_acl(entry.access),
        }


def _acl(access: Access) -> dict[str, list[str]]:
    named = {name: list(getattr(access, name)) for name in (*_ACL, *_SOURCE_ACL)}
    return {f"_acl_{name}": values for name, values in named.items() if values}
