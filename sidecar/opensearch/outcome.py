"""What became of a search of a routed index: the `X-Rescore` header and the metric agree on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from sidecar.opensearch.skip_reasons import SKIP_REASONS

Status = Literal["applied", "partial", "skipped", "failed"]

FIELD = b"X-Rescore"

# Every word that `reason=` may carry. The gates' own words stand beside the gates.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        **SKIP_REASONS,
        # skipped
        "off": "The request said `X-Rescore: off`.",
        "disabled": "The plan says `enabled: false`.",
        "unknown_plan": "`X-Rescore-Plan` names no plan.",
        "starting": "The models are still being loaded.",
        "body_too_large": "The request's body is larger than a search's can be.",
        "no_hits": "OpenSearch found nothing.",
        "sorted": "The hits carry sort values or no score, so their order is not one of relevance.",
        "timed_out": "OpenSearch timed out or ended early, so its hits are not its best.",
        "refused": "OpenSearch refused the caller (401, 403) or does not know the index (404).",
        # partial
        "deadline": "The deadline came before all hits were scored (or before any).",
        # failed: the request was sent again as it came
        "upstream": "OpenSearch could not be reached, or its answer broke off.",
        "upstream_status": "OpenSearch refused the widened search; mostly it is wrong by itself.",
        "render": "OpenSearch did not render the template.",
        "shard_failures": "Shards failed on the widened search.",
        "too_large": "The widened answer is too large to be held in memory.",
        "unreadable": "The widened answer could not be read as a search response.",
        # failed: the client's page was cut out of the widened answer, in its original order
        "text_fetch": "The text, which the answer does not carry, could not be fetched.",
        "no_text": "No hit of the window has text in the fields that the plan names.",
        "model": "The model failed.",
        "scores": "The model's scores had the wrong number or were not finite.",
        "overload": "More searches wait for the models than can be served in time.",
        "error": "Something unforeseen; the log has it.",
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one search; `reason` is None only when the status is `applied`."""

    plan: str
    status: Status
    reason: str | None = None
    window: int = 0
    """Hits that the plan fetches and rescores."""

    scored: int = 0
    """Hits that a model gave a score."""

    model: str = ""
    ms: float = 0.0
    """Milliseconds from OpenSearch's answer to ours."""

    cached: bool = False
    """Whether the page was cut from a window that was rescored for an earlier one."""

    def __post_init__(self) -> None:
        assert (self.reason is None) == (self.status == "applied")
        assert self.reason is None or self.reason in REASONS, self.reason

    def header(self) -> bytes:
        """The whole header line, without its line end."""
        parts: list[str] = [self.status]
        if self.reason:
            parts.append(f"reason={self.reason}")
        parts.append(f"plan={self.plan}")
        if self.status in ("applied", "partial"):
            parts += [f"window={self.window}", f"scored={self.scored}", f"model={self.model}"]
            parts.append(f"ms={self.ms:.1f}")
        if self.cached:
            parts.append("cached")
        return FIELD + b": " + "; ".join(parts).encode("ascii")
