"""An answer before it has an API's form, and how answers are written as JSON.

Clients compare scores, and the rerank processor of OpenSearch's ml-commons accepts only short
numbers with a decimal point: it fails on whole numbers, on exponents and on 19 digits. So scores
are written in fixed notation with one to seven decimals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sidecar.logits import relevance, rounded
from sidecar.rerank.request import RerankRequest


@dataclass(frozen=True, slots=True)
class RerankAnswer:
    """A ranked request.

    `indices` point into the request's documents: best first, at most `top_n`. `logits` has one
    entry for each document, in the request's order. `tokens` are those of the whole request.
    """

    request: RerankRequest
    indices: tuple[int, ...]
    logits: tuple[float, ...]
    tokens: int
    model: str
    identifier: str
    created: int

    def score(self, index: int) -> Decimal:
        """A document's score: its logit if the request asks for it, else its relevance, 0 to 1."""
        logit = self.logits[index]
        return fixed(logit if self.request.raw_scores else relevance(logit))

    def as_text(self, index: int) -> str:
        """A document as a string, whatever its form in the request."""
        original = self.request.originals[index]
        return original if isinstance(original, str) else self.request.documents[index]

    def as_object(self, index: int) -> Mapping[str, Any]:
        """A document as an object; a string becomes the member `text`."""
        original = self.request.originals[index]
        return {"text": original} if isinstance(original, str) else original

    def results(self, document: Callable[[int], object]) -> list[dict[str, object]]:
        """The list that most APIs share; `document` gives the form of a returned document."""
        entries: list[dict[str, object]] = []
        for index in self.indices:
            entry: dict[str, object] = {"index": index, "relevance_score": self.score(index)}
            if self.request.return_documents:
                entry["document"] = document(index)
            entries.append(entry)
        return entries


def rank(logits: Sequence[float], top_n: int | None) -> tuple[int, ...]:
    """Indices of the documents, best first, at most `top_n`; ties keep their order."""
    order = sorted(range(len(logits)), key=lambda index: -logits[index])
    return tuple(order[:top_n])


def fixed(number: float) -> Decimal:
    """The number as `write_json` writes it: in fixed notation with one to seven decimals."""
    whole, _, decimals = f"{rounded(number):.7f}".partition(".")
    return Decimal(f"{whole}.{decimals.rstrip('0') or '0'}")


def write_json(value: object) -> str:
    """JSON in ASCII; each Decimal is written digit for digit."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        members = (f"{json.dumps(str(name))}:{write_json(item)}" for name, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(write_json, value)) + "]"
    return json.dumps(value)
