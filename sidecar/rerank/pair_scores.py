"""vLLM's score API on `/score` and `/v1/score`: requests and answers.

Source: vLLM's OpenAI-compatible server, `ScoreRequest` and `ScoreResponse`. It compares one text
with one or many, or as many texts with as many, pair by pair.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.document_scoring import is_blank
from sidecar.logits import relevance
from sidecar.rerank.answer import fixed
from sidecar.rerank.errors import ErrorAnswer, write_error
from sidecar.rerank.refusals import Cause, Refusal
from sidecar.rerank.request import read_flag, read_model, read_rank_texts

_LEFT: Final = ("text_1", "queries", "data_1")
_RIGHT: Final = ("text_2", "documents", "items", "data_2")
"""Names of both sides, old and new, in the order in which vLLM introduced them."""

MOST_QUERIES: Final = 100
"""Different texts on the left side of a request; each is scored like a request of its own."""


@dataclass(frozen=True, slots=True)
class ScoreForm:
    """The form of this API."""

    api: str
    write_error: Callable[[Cause, str], ErrorAnswer]


SCORE: Final = ScoreForm("score", write_error)


@dataclass(frozen=True, slots=True)
class PairRequest:
    """Pairs to score. `queries` and `documents` are equally long."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    raw_scores: bool
    model: str | None

    def by_query(self) -> dict[str, list[int]]:
        """The positions of the pairs of each different query."""
        positions: dict[str, list[int]] = {}
        for position, query in enumerate(self.queries):
            positions.setdefault(query, []).append(position)
        return positions


def read_pairs(body: Mapping[str, Any]) -> PairRequest:
    """Read a body; raises Refusal `missing`, `malformed`, `invalid` or `too_many`."""
    queries = _read_side(body, _LEFT)
    documents = _read_side(body, _RIGHT)
    if any(is_blank(query) for query in queries):
        raise Refusal("invalid", f"{_LEFT[0]} must not be blank")
    if len(queries) == 1:
        queries *= len(documents)
    if len(queries) != len(documents):
        counts = f"{len(queries)} and {len(documents)}"
        raise Refusal("invalid", f"both sides must be equally long, not {counts} texts")
    request = PairRequest(
        tuple(queries),
        tuple(documents),
        # Requests of vLLM's clients say `use_activation: false`, before 2025 `activation: false`.
        read_flag(body, "raw_scores") or _is_off(body, "use_activation", "activation"),
        read_model(body),
    )
    if len(set(queries)) > MOST_QUERIES:
        raise Refusal("too_many", f"more than {MOST_QUERIES} different texts on the left side")
    return request


def _is_off(body: Mapping[str, Any], *names: str) -> bool:
    return any(body.get(name) is not None and not read_flag(body, name) for name in names)


def _read_side(body: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    name = next((name for name in names if body.get(name) is not None), None)
    if name is None:
        raise Refusal("missing", f"{names[0]} is required")
    value = body[name]
    items = value if isinstance(value, list) else [value]
    if not items:
        raise Refusal("invalid", f"{name} must not be empty")
    if not all(isinstance(item, (str, dict)) for item in items):
        raise Refusal("malformed", f"{name} must be a text or an array of texts")
    return read_rank_texts(items, name, None)[1]


def write_scores(
    request: PairRequest, logits: Sequence[float], tokens: int, model: str
) -> dict[str, object]:
    """The members of an answer; the scores are in the order of the request."""
    return {
        "id": f"score-{uuid.uuid4()}",
        "object": "list",
        "created": int(time.time()),
        "model": request.model or model,
        "data": [
            {
                "index": index,
                "object": "score",
                "score": fixed(logit if request.raw_scores else relevance(logit)),
            }
            for index, logit in enumerate(logits)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0},
    }
