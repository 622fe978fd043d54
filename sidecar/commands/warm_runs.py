"""What `sidecar warm` does with an index and a loaded model, and what it prints."""

from __future__ import annotations

import asyncio
import json
import math
import random
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from sidecar.commands.terminal import Negative, Refused
from sidecar.config.main_file import Config, find_bi_encoders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sidecar.models.scorers import BiEncoderScorer
    from sidecar.warming.changed_documents import Marks
    from sidecar.warming.index_reading import IndexReading, Slice
    from sidecar.warming.warming import Estimate, WarmingSummary

_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class WarmOptions:
    """The options of one run, under their own names."""

    config: Config
    folder: Path
    index: str
    plan_name: str
    model_name: str
    rate: float | None
    save_seconds: float
    dry_run: bool
    until_full: bool
    sample: int | None
    as_json: bool
    part: Slice
    changed: bool
    bodies: Sequence[Mapping[str, Any]] | None
    """The searches to read, instead of the whole index."""

    @property
    def share(self) -> int:
        """How many bi-encoders share `passage_store.memory_mb` in equal parts, as in `serve`."""
        return len(find_bi_encoders(self.config.main.models))

    @property
    def cache(self) -> Path:
        return self.folder / (self.config.main.passage_store.folder or "")


async def warm_index(
    order: WarmOptions,
    reading: IndexReading,
    uuids: str,
    scorer: BiEncoderScorer,
    console: Console,
) -> None:
    """Store the vectors of the index, or of what has changed in it."""
    from sidecar.warming.changed_documents import ChangedDocuments, MarksFile
    from sidecar.warming.index_reading import IndexUnreadable
    from sidecar.warming.progress import ProgressFile
    from sidecar.warming.warming import Warming

    plan = order.config.plans[order.plan_name]
    warming = Warming(reading, plan, scorer, rate=order.rate, save_seconds=order.save_seconds)
    with console.status("reading a sample"):
        estimate = await warming.estimate()
    needed = math.ceil(estimate.bytes / _MEBIBYTE) * order.share
    advice = f"set passage_store.memory_mb: {needed} in the main file"
    if order.dry_run and order.as_json:
        click.echo(json.dumps({**asdict(estimate), "passage_store_mb_needed": needed}))
    else:
        _print_estimate(console, estimate, needed, order)
    if not estimate.fits:
        if order.dry_run:
            raise Negative(advice)
        if not order.until_full:
            raise Refused(f"{advice}, or give --until-full")
    if order.dry_run:
        return
    settings = plan.model_dump_json(include={"document", "passages"})
    identity = f"{order.index} {uuids} {order.model_name} {scorer.identity} {settings}"
    if order.part.count > 1:
        identity += f" {order.part.number}/{order.part.count}"
    file = ProgressFile(order.cache / "warm", identity)
    # Indexes come and go behind an alias, so the marks name their UUIDs themselves.
    marks = MarksFile(
        order.cache / "warm", f"{order.index} {order.model_name} {scorer.identity} {settings}"
    )
    try:
        former = marks.read()
        if not len(scorer.store):
            file.remove()  # the vectors that it counts are gone
            former = {}
        new_marks: Marks = {}
        changed = None
        try:
            changes = await asyncio.to_thread(ChangedDocuments, reading, former)
            new_marks = changes.new_marks
            changed = changes if order.changed else None
        except IndexUnreadable:
            if order.changed:
                raise
        total = estimate.documents if changed is None else min(estimate.documents, changed.count)
        begun_anew = not file.read().documents
        with _progress(console) as bar:
            task = bar.add_task(order.index, total=total)
            warmed = await warming.run(
                file, lambda done: bar.update(task, completed=done.documents), changed
            )
        whole = order.part.count == 1 and (begun_anew or order.changed)
        if warmed.complete and whole:
            await asyncio.to_thread(marks.write, new_marks)
    finally:
        file.close()
    _print_end(console, warmed, scorer, order.as_json)
    if not warmed.complete:
        raise Negative(f"the store is full; {advice}")


async def ask_queries(
    order: WarmOptions, reading: IndexReading, scorer: BiEncoderScorer, console: Console
) -> None:
    """Store the vectors of what the searches of `order.bodies` find."""
    from sidecar.warming.warming import Warming

    assert order.bodies is not None
    plan = order.config.plans[order.plan_name]
    warming = Warming(reading, plan, scorer, rate=order.rate, save_seconds=order.save_seconds)
    with _progress(console, "searches") as bar:
        task = bar.add_task(order.index, total=len(order.bodies))
        warmed = await warming.ask(order.bodies, lambda done: bar.update(task, completed=done))
    _print_end(console, warmed, scorer, order.as_json)
    if not warmed.complete:
        raise Negative("the store is full; set passage_store.memory_mb higher in the main file")


async def teach_student(
    order: WarmOptions,
    documents: int,
    reading: IndexReading,
    scorer: BiEncoderScorer,
    console: Console,
) -> None:
    """Teach the model's student with a sample of the index."""
    from sidecar.models.students.teaching_process import TeachingFailed
    from sidecar.warming.warming import Warming

    if scorer.teacher is None:
        raise Refused(f"model {order.model_name} has no word pieces, so it has no student")
    warming = Warming(reading, order.config.plans[order.plan_name], scorer)
    documents = min(documents, await asyncio.to_thread(reading.count))
    try:
        with _progress(console) as bar:
            task = bar.add_task(order.index, total=documents)
            taught = await warming.teach(
                documents,
                random.getrandbits(31),
                lambda share: bar.update(task, completed=round(share * documents)),
            )
    except TeachingFailed as error:
        raise Negative(f"teaching failed: {error}; the vectors so far are stored") from None
    if order.as_json:
        click.echo(json.dumps(asdict(taught)))
    else:
        end = "the student is better now" if taught.better else "the former student is as good"
        console.print(
            f"{taught.documents:,} documents read, {taught.passages:,} passages; {end}."
            f" It took {_spell(taught.seconds)}.",
            highlight=False,
        )


def _progress(console: Console, unit: str = "documents") -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}, remaining"),
        TimeRemainingColumn(compact=True),
        console=console,
    )


def _print_estimate(console: Console, estimate: Estimate, needed: int, order: WarmOptions) -> None:
    room = order.config.main.passage_store.memory_mb
    console.print(
        f"{order.index}: {estimate.documents:,} documents, about {estimate.passages:,} passages;"
        f" vectors of {estimate.bytes / _MEBIBYTE:,.1f} MiB;"
        f" {_spell(estimate.seconds)} to compute.\n"
        f"passage_store.memory_mb: {room} {'suffices' if estimate.fits else 'is too little'}"
        f" (needed: {needed}).",
        highlight=False,
    )


def _print_end(
    console: Console, warmed: WarmingSummary, scorer: BiEncoderScorer, as_json: bool
) -> None:
    if as_json:
        click.echo(json.dumps({**asdict(warmed), "stored": len(scorer.store)}))
    else:
        console.print(
            f"{warmed.documents:,} documents read, {warmed.passages:,} passages;"
            f" the store holds {len(scorer.store):,}. It took {_spell(warmed.seconds)}.",
            highlight=False,
        )


def _spell(seconds: float) -> str:
    return f"about {timedelta(seconds=math.ceil(seconds))}" if seconds >= 1 else "under a second"
