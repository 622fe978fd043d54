"""What happened to a search of an index with a route: the `X-Rescore` header, and all reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from sidecar.opensearch.skip_reasons import SKIP_REASONS

Status = Literal["applied", "partial", "skipped", "failed", "shadow"]

FIELD = b"X-Rescore"

# Every reason that the `X-Rescore` header may have.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        **SKIP_REASONS,
        # skipped
        "off": "The request has `X-Rescore: off`, or `off: true` in `ext.rescore`.",
        "disabled": "The plan has `enabled: false`.",
        "split_off": "The route's `split` gives this caller OpenSearch's order.",
        "stepped_back": "The plan has stepped back: the limits of its `guard` were exceeded.",
        "unknown_plan": "`X-Rescore-Plan`, or `plan` in `ext.rescore`, names no plan.",
        "section_key": "`ext.rescore` has an unknown key; `key` in the header names it.",
        "section_value": "`ext.rescore` has a value of the wrong type; `key` in the header "
        "names it.",
        "starting": "The models are still being loaded.",
        "busy": "More searches are waiting to be read or rescored than can be served in time.",
        "no_hits": "OpenSearch found no hits.",
        "sorted": "The hits have sort values or no score, so their order is not by relevance.",
        "hybrid_scores": "A score of a `hybrid` query is not between 0 and 1: no search pipeline "
        "normalises them.",
        "timed_out": "OpenSearch timed out or ended early, so its hits may not be the best.",
        "refused": "OpenSearch refused the caller (401, 403) or does not know the index (404).",
        # partial
        "deadline": "The deadline passed before all hits (or any) were scored.",
        "resting": "Widened searches of this kind failed recently; they are tried again later.",
        "render_refused": "The caller has no permission to render templates.",
        # failed: OpenSearch's own answer
        "upstream": "OpenSearch could not be reached, or its answer was incomplete or too late.",
        "upstream_status": "OpenSearch refused the widened search; mostly the search is wrong.",
        "render": "OpenSearch did not render the template.",
        "shard_failures": "Shards failed on the widened search.",
        "sources": "The `_source` of the page's hits could not be fetched in a second step.",
        "too_large": "The widened answer is too large to hold in memory.",
        "unreadable": "The widened answer could not be read as a search response.",
        # failed: the client's page was cut out of the widened answer, in its original order
        "text_fetch": "The text, which the answer does not contain, could not be fetched.",
        "no_text": "No hit of the window has text in the fields that the plan names.",
        "model": "The model failed.",
        "scores": "The model returned the wrong number of scores, or scores that are not finite.",
        "overload": "More searches are waiting for the models than can be served in time.",
        "error": "An unexpected error; see the log.",
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one search; `reason` is None only if the status is `applied` or `shadow`."""

    plan: str
    status: Status
    reason: str | None = None
    window: int = 0
    """Hits that the plan fetches and rescores."""

    scored: int = 0
    """Hits that a model gave a score."""

    student: int = 0
    """Hits that no model read, with the score that a student of one expects."""

    sure: int = 0
    """The number of first hits that are as if all hits had been read whole; 0 if all were, or it is
    not known."""

    model: str = ""
    ms: float = 0.0
    """Milliseconds that the sidecar adds: the time before it asks OpenSearch, and from the answer
    of OpenSearch to its own."""

    cached: bool = False
    """Whether the page was cut out of a cached window."""

    order_kept: bool = False
    """Whether the hits got the order of an earlier page, without a model."""

    dropped: int | None = None
    """Hits of the page that are left out because of `min_score` or `min_relevance`; None if nobody
    asked for that."""

    teams: str = ""
    """With `interleave`, the team of each hit of the page."""

    hit_ids: tuple[str, ...] = ()
    """The ids of the page's hits, for User Behavior Insights."""

    key: str = ""
    """The wrong key of `ext.rescore`, or the key of the main file to set, if that is the reason."""

    def __post_init__(self) -> None:
        assert (self.reason is None) == (self.status in ("applied", "shadow"))
        assert self.reason is None or self.reason in REASONS, self.reason

    def header(self) -> bytes:
        """The whole header line, without its line end."""
        parts: list[str] = [self.status]
        if self.reason:
            parts.append(f"reason={self.reason}")
        parts.append(f"plan={self.plan}")
        if self.key:
            parts.append(f"key={self.key}")
        if self.status in ("applied", "partial"):
            parts += [f"window={self.window}", f"scored={self.scored}"]
            if self.student:
                parts.append(f"student={self.student}")
            if self.sure:
                parts.append(f"sure={self.sure}")
            parts += [f"model={self.model}", f"ms={self.ms:.1f}"]
        if self.dropped is not None:
            parts.append(f"dropped={self.dropped}")
        if self.order_kept:
            parts.append("order=kept")
        if self.cached:
            parts.append("cached")
        return FIELD + b": " + "; ".join(parts).encode("ascii")
