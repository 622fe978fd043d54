"""What has to be the same in two answers, the direct one and the one through the proxy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.differential.masks import field_lines, masked_body
from tests.raw_http import RawResponse

Answer = RawResponse | str
"""A response, or why there is none."""

_SHOWN = 300
_UNEXPECTED = re.compile(
    r"partial|failed; reason=(error|model|scores|overload|unreadable|upstream;|too_large)"
)
_FRAMING = re.compile(rb"(?i)content-length|transfer-encoding")


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` differs, and a piece of both from where the difference begins."""

    what: str
    direct: str
    through: str


def outcome_of(answer: Answer) -> str | None:
    """The value of X-Rescore; None where there is none."""
    values = [] if isinstance(answer, str) else answer.values("X-Rescore")
    return ", ".join(values) if values else None


def outcome_label(answer: Answer) -> str:
    """The outcome as it is counted: status and reason."""
    outcome = outcome_of(answer)
    return "forwarded" if outcome is None else re.split("; (?!reason)", outcome)[0]


def compare_outcome(through: Answer, routed: bool) -> Difference | None:
    """Whether X-Rescore says nothing that should never happen here; `routed`: whether there are
    routes at all."""
    outcome = outcome_of(through)
    if outcome is not None and (not routed or _UNEXPECTED.match(outcome)):
        return Difference("X-Rescore", "", outcome)
    return None


def compare_heads(direct: RawResponse, through: RawResponse) -> Difference | None:
    """Whether status line and fields are equal, duplicates and order included.

    An answer that the proxy wrote has a Content-Length of its own, elsewhere, whatever framed
    OpenSearch's.
    """
    heads = [field_lines(answer) for answer in (direct, through)]
    if outcome_of(through) is not None:
        heads = [[line for line in head if not _FRAMING.match(line)] for head in heads]
    if heads[0] == heads[1]:
        return None
    return show("head", b"\n".join(heads[0]), b"\n".join(heads[1]))


def compare_answers(direct: Answer, through: Answer) -> Difference | None:
    """Whether two answers are equal but for what two runs of one request differ in."""
    if isinstance(direct, str) and (isinstance(through, str) or _tells_of_closing(through)):
        return None
    if isinstance(direct, str) or isinstance(through, str):
        return show("connection", *(str(one).encode() for one in (direct, through)))
    different = compare_heads(direct, through)
    if different is not None:
        return different
    # The codings are equal here, but two programs need not compress to the same bytes.
    bodies = [masked_body(answer) for answer in (direct, through)]
    return None if bodies[0] == bodies[1] else show("body", *bodies)


def _tells_of_closing(through: RawResponse) -> bool:
    """Whether the proxy says that OpenSearch closed the connection without an answer.

    OpenSearch does so for a method that it does not know.
    """
    return through.status == 502 and b'"upstream_broken"' in through.body


def show(what: str, direct: bytes, through: bytes) -> Difference:
    """The difference of two texts, from a little before where it begins."""
    length = min(len(direct), len(through))
    begin = next((at for at in range(length) if direct[at] != through[at]), length)
    piece = slice(max(0, begin - 60), begin + _SHOWN)
    texts = (text[piece].decode("utf-8", "backslashreplace") for text in (direct, through))
    return Difference(what, *texts)
