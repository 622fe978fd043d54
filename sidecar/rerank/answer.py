"""An answer before it has an API's form, and how answers are written as JSON.

Numbers need care. Clients compare scores, and the rerank processor of OpenSearch's ml-commons
takes nothing but a short literal with a decimal point: a whole number, an exponent or 19 digits
make it fail. So scores are written in fixed notation with one to seven decimals.
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
    """A ranked request. `indices` are into the request's documents, best first, already cut to
    `top_n`; `logits` has one entry for each document, in the request's order."""

    request: RerankRequest
    indices: tuple[int, ...]
    logits: tuple[float, ...]
    tokens: int
    model: str
    identifier: str
    created: int

    def score(self, index: int) -> Decimal:
        """A document's score as the request wants it: its logit, or its relevance from 0 to 1."""
        logit = self.logits[index]
        return fixed(logit if self.request.raw_scores else relevance(logit))

    def as_text(self, index: int) -> str:
        """A document as a string, however it was sent."""
        given = self.request.given[index]
        return given if isinstance(given, str) else self.request.documents[index]

    def as_object(self, index: int) -> Mapping[str, Any]:
        """A document as an object: a string becomes its `text`."""
        given = self.request.given[index]
        return {"text": given} if isinstance(given, str) else given

    def results(self, document: Callable[[int], object]) -> list[dict[str, object]]:
        """The list that most APIs share; `document` gives the form of one that is sent back."""
        entries: list[dict[str, object]] = []
        for index in self.indices:
            entry: dict[str, object] = {"index": index, "relevance_score": self.score(index)}
            if self.request.return_documents:
                entry["document"] = document(index)
            entries.append(entry)
        return entries


def rank(logits: Sequence[float], top_n: int | None) -> tuple[int, ...]:
    """Indices of the documents, best first, ties in the given order, cut to `top_n`."""
    order = sorted(range(len(logits)), key=lambda index: -logits[index])
    return tuple(order[:top_n])


def fixed(number: float) -> Decimal:
    """A number that `write_json` spells in fixed notation, with one to seven decimals."""
    whole, _, decimals = f"{rounded(number):.7f}".partition(".")
    return Decimal(f"{whole}.{decimals.rstrip('0') or '0'}")


def write_json(value: object) -> str:
    """JSON in ASCII, with each Decimal as the literal that it is."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        members = (f"{json.dumps(str(name))}:{write_json(item)}" for name, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(write_json, value)) + "]"
    return json.dumps(value)
