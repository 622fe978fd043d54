"""Known models: how their vectors are made, where their files do not say it.

Many published models expect words before a query text or a passage and do not name them in a file
that a program can read; and an ONNX graph that gives token vectors does not say how they become one
vector. The table has both, from the models' cards on the Hugging Face hub. The order of precedence
is: the main file's keys, the model's own files, this table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sidecar.config.main_file import Model

TokenPooling = Literal["cls", "mean"]

_BGE_ENGLISH = "Represent this sentence for searching relevant passages: "
_BGE_CHINESE = "为这个句子生成表示以用于检索相关文章："


@dataclass(frozen=True, slots=True)
class _Known:
    name: re.Pattern[str]
    pooling: TokenPooling
    query_prompt: str = ""
    passage_prompt: str = ""


def _known(name: str, pooling: TokenPooling, query: str = "", passage: str = "") -> _Known:
    # Names stand in paths and artifacts with other words around them.
    return _Known(re.compile(rf"(?<![a-z0-9]){name}(?![a-z0-9])"), pooling, query, passage)


_TABLE = (
    # https://huggingface.co/BAAI/bge-small-en-v1.5
    _known(r"bge-(small|base|large)-en", "cls", _BGE_ENGLISH),
    _known(r"bge-(small|base|large)-zh", "cls", _BGE_CHINESE),
    _known(r"bge-m3", "cls"),
    # https://huggingface.co/intfloat/e5-small-v2; the "instruct" models have prompts of their own
    _known(r"e5-(small|base|large)(?!.*instruct)", "mean", "query: ", "passage: "),
    # https://huggingface.co/thenlper/gte-small; -v1.5 are another architecture
    _known(r"gte-(small|base|large)(?!-en-v1)", "mean"),
    # https://huggingface.co/Snowflake/snowflake-arctic-embed-s
    _known(r"snowflake-arctic-embed-(xs|s|m|l)(?!-v2)", "cls", _BGE_ENGLISH),
    # https://huggingface.co/mixedbread-ai/mxbai-embed-large-v1
    _known(r"mxbai-embed-large-v1", "cls", _BGE_ENGLISH),
    # https://huggingface.co/sentence-transformers
    _known(r"(all|paraphrase|paraphrase-multilingual)-minilm-l\d+", "mean"),
    _known(r"multi-qa-minilm-l\d+-cos-v1", "mean"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """Prompts and pooling of a model from outside its own files."""

    pooling: TokenPooling | None = None
    """For graphs that give token vectors: the main file's, else the table's."""

    configured_query_prompt: str | None = None
    configured_passage_prompt: str | None = None
    """The main file's; they replace the model's own. None: not set."""

    known_query_prompt: str = ""
    known_passage_prompt: str = ""
    """The table's; they apply if neither the main file nor the model has prompts."""


NO_READING = Reading()


def find_reading(model: Model, folder: Path) -> Reading:
    """Settings for a model, by its source and its files' own name for it."""
    known = _find(model.source, folder) if model.kind == "bi-encoder" else None
    return Reading(
        pooling=model.pooling or (known.pooling if known else None),
        configured_query_prompt=model.query_prompt,
        configured_passage_prompt=model.passage_prompt,
        known_query_prompt=known.query_prompt if known else "",
        known_passage_prompt=known.passage_prompt if known else "",
    )


def _find(source: str, folder: Path) -> _Known | None:
    for name in _names(source, folder):
        for known in _TABLE:
            if known.name.search(name.lower()):
                return known
    return None


def _names(source: str, folder: Path) -> list[str]:
    """What the model may be called, the surest first."""
    parts = [part for part in source.removeprefix("package:").split("/") if part]
    names = parts[-1:]
    # The hub's folders on disk: models--ORGANISATION--NAME/snapshots/REVISION.
    names += [part for part in parts if part.startswith("models--")]
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names.append(str(config.get("_name_or_path", "")))
    except (AttributeError, OSError, ValueError):
        pass
    return names


def choose_prompts(
    own: Mapping[str, str | None], default: str | None, reading: Reading
) -> tuple[str, str]:
    """The prompts before query texts and passages.

    `own`: the model's prompts by name, and `default`, the name of its default prompt. Names are
    looked up in the order of sentence-transformers' `encode_query` and `encode_document`.
    """

    def choose(names: Sequence[str | None], configured: str | None, known: str) -> str:
        if configured is not None:
            return configured
        if not any(own.values()):
            return known
        return next((own[name] or "" for name in names if name is not None and name in own), "")

    return (
        choose(("query", default), reading.configured_query_prompt, reading.known_query_prompt),
        choose(
            ("document", "passage", "corpus", default),
            reading.configured_passage_prompt,
            reading.known_passage_prompt,
        ),
    )
