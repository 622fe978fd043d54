"""What is proposed: the whole, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.first_configuration.field_choice import ChosenField, FieldChoice
from sidecar.first_configuration.speed import Bounds, Speed

MODEL_NAME: Final = "minilm"
PASSWORD_VARIABLE: Final = "OPENSEARCH_PASSWORD"  # noqa: S105  the name of a variable
FUSION: Final[Mapping[str, Any]] = {
    "method": "additive",
    "lexical": 0.35,
    "stems": "english",
}
STAGE_WEIGHT: Final = 0.4
PASSAGES: Final[Mapping[str, Any]] = {"words": 120, "overlap": 1, "per_group": 3}


@dataclass(frozen=True, slots=True)
class Access:
    """How the cluster is reached. The password is never part of it."""

    url: str
    username: str | None = None
    ca_file: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model, and why it was chosen."""

    source: str
    installed: bool


@dataclass(frozen=True, slots=True)
class KindProposal:
    """A plan and its routes, for indexes of one kind."""

    plan: str
    indices: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    """Names and patterns, each with a note, which may be empty."""

    documents: int | None
    sampled: int
    choice: FieldChoice
    bounds: Bounds
    speed: Speed | None
    stored_passages: float
    """Passages per document that `sidecar warm` stores, on average."""

    def plan_data(self) -> dict[str, Any]:
        """The plan as it stands in YAML, without comments."""
        return {
            "description": f"Proposed from {self.sampled} documents of {self.routes[0][0]}.",
            "rescore_window": self.bounds.rescore_window,
            "deadline_ms": self.bounds.deadline_ms,
            "document": document_data(self.choice),
            "passages": dict(PASSAGES),
            "stages": [{"model": MODEL_NAME, "weight": STAGE_WEIGHT}],
            "fusion": dict(FUSION),
        }


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everything that the files will say, and the reason for each index without a route."""

    access: Access
    model: ModelChoice
    kinds: tuple[KindProposal, ...]
    left_out: Mapping[str, str]
    memory_mb: int
    """Memory for all passage vectors, in MiB."""

    def main_data(self) -> dict[str, Any]:
        """The main file as it stands in YAML, without comments."""
        upstream: dict[str, Any] = {"urls": [self.access.url]}
        if self.access.username is not None:
            upstream["username"] = self.access.username
            upstream["password"] = f"${{{PASSWORD_VARIABLE}}}"
        tls: dict[str, Any] = {"ca_file": self.access.ca_file} if self.access.ca_file else {}
        if not self.access.verify:
            tls["verify"] = False
        if tls:
            upstream["tls"] = tls
        return {
            "listen": "127.0.0.1:9201",
            "api_listen": "127.0.0.1:9280",
            "upstream": upstream,
            "models": {MODEL_NAME: {"kind": "bi-encoder", "source": self.model.source}},
            "passage_store": {"memory_mb": self.memory_mb, "folder": "passages"},
            "plans_folder": "plans",
            "routes": [
                {"index": name, "plan": kind.plan} for kind in self.kinds for name, _ in kind.routes
            ],
        }

    def as_object(self) -> dict[str, Any]:
        """The proposal for machines, as JSON."""
        return {
            "main": self.main_data(),
            "plans": {kind.plan: kind.plan_data() for kind in self.kinds},
            "kinds": [_kind_object(kind) for kind in self.kinds],
            "left_out": dict(self.left_out),
        }


def document_data(choice: FieldChoice) -> dict[str, Any]:
    """The section `document` of a plan: labels first, so that the first passage has them."""
    title = {"title": choice.title.name} if choice.title else {}
    body = [_entry(each) for each in (*choice.labels, *choice.bodies)]
    return {**title, **({"body": body} if body else {})}


def _entry(chosen: ChosenField) -> str | dict[str, str]:
    return chosen.name if chosen.label is None else {"field": chosen.name, "label": chosen.label}


def _kind_object(kind: KindProposal) -> dict[str, Any]:
    choice = kind.choice
    chosen = [*([choice.title] if choice.title else ()), *choice.labels, *choice.bodies]
    return {
        "plan": kind.plan,
        "indices": list(kind.indices),
        "documents": kind.documents,
        "sampled": kind.sampled,
        "fields": {each.name: each.why for each in chosen},
        "fields_left_out": dict(choice.left_out),
        "passages_per_second": round(kind.speed.passages_per_second, 1) if kind.speed else None,
        "query_ms": round(kind.speed.query_ms, 1) if kind.speed else None,
    }
