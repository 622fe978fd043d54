"""`sidecar warm`: read an index once, so that searches are warm from the start."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
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

from pipelines.errors import RescoreError
from sidecar.commands.judged_queries import index_option, json_option
from sidecar.commands.terminal import (
    Negative,
    Refused,
    config_option,
    read_configuration,
    run_loop,
)
from sidecar.config import Config

if TYPE_CHECKING:
    from sidecar.models.scorers import BiEncoderScorer
    from sidecar.warming.index_reading import IndexReading
    from sidecar.warming.warming import Estimate, Warmed

_MEBIBYTE = 2**20


@click.command()
@index_option
@click.option("--plan", "plan_name", help="Plan to warm; that of the index's route if left out.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Documents a second at most, to be gentle on the cluster.",
)
@click.option(
    "--save",
    "save_seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How often what was read is written to the disk.",
)
@click.option("--dry-run", is_flag=True, help="Only say what it would take.")
@click.option(
    "--until-full", is_flag=True, help="Read an index that is too large for passage_store_mb, too."
)
@config_option
@json_option
def warm(
    index: str,
    plan_name: str | None,
    rate: float | None,
    save_seconds: float,
    dry_run: bool,
    until_full: bool,
    config_path: Path,
    as_json: bool,
) -> None:
    """Store the vectors of an index's passages, so that searches are warm.

    Reads the index once with the sidecar's own account (upstream.username). A run that was killed
    goes on where it was; `serve` may run meanwhile and takes in what is stored. Exit status 1:
    the store is full, or a dry run has found that it would be.

    Example: sidecar warm --index docs --rate 200
    """
    # `--help` need not wait for these.
    from sidecar.commands.in_process import choose_plan
    from sidecar.models.loading import ModelLoadError
    from sidecar.warming.index_reading import IndexUnreadable
    from sidecar.warming.progress import AlreadyRunning

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    config = read_configuration(config_path)
    name = choose_plan(config, index, plan_name)
    model_name = _bi_encoder(config, name)
    if config.main.cache is None:
        raise Refused(
            f"{config_path}: cache: name a folder; without one vectors end with the process"
        )
    order = _Order(
        config,
        config_path.parent,
        index,
        name,
        model_name,
        rate,
        save_seconds,
        dry_run,
        until_full,
        as_json,
    )
    try:
        run_loop(lambda: _run(order))
    except (IndexUnreadable, ModelLoadError) as error:
        raise Refused(str(error)) from None
    except AlreadyRunning:
        raise Refused(f"{index} is being warmed by another process; wait for its end") from None
    except RescoreError as error:
        raise Negative(f"the model failed: {error}; what was read is kept") from None


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be done; the options' own names."""

    config: Config
    folder: Path
    index: str
    plan_name: str
    model_name: str
    rate: float | None
    save_seconds: float
    dry_run: bool
    until_full: bool
    as_json: bool

    @property
    def share(self) -> int:
        """Of how many equal parts of `passage_store_mb` the model gets one, as in `serve`."""
        models = self.config.main.models.values()
        return sum(model.kind == "bi-encoder" for model in models)

    @property
    def cache(self) -> Path:
        return self.folder / (self.config.main.cache or "")


async def _run(order: _Order) -> None:
    from sidecar.metrics import Metrics
    from sidecar.models.loading import load_models
    from sidecar.opensearch.search_request import fields_read
    from sidecar.upstream_check import open_client
    from sidecar.warming.index_reading import IndexReading

    main = order.config.main
    fields = fields_read(order.config.plans[order.plan_name])
    reading = IndexReading(open_client(main.upstream, order.folder, 60), order.index, fields)
    models = None
    console = Console(stderr=True)
    try:
        uuids = await asyncio.to_thread(reading.identity)
        with console.status("loading the model"):
            models = await asyncio.to_thread(
                load_models,
                {order.model_name: main.models[order.model_name]},
                order.folder,
                Metrics(),
                cache=order.cache,
                passage_store_mb=max(1, main.passage_store_mb // order.share),
                owns_cache=False,
            )
        scorer = models.bi_encoder(order.model_name)
        assert scorer is not None  # its kind was looked at
        await _warm(order, reading, uuids, scorer, console)
    finally:
        await asyncio.to_thread(reading.close)
        if models is not None:
            await asyncio.to_thread(models.close)


async def _warm(
    order: _Order, reading: IndexReading, uuids: str, scorer: BiEncoderScorer, console: Console
) -> None:
    from sidecar.warming.progress import ProgressFile
    from sidecar.warming.warming import Warming

    plan = order.config.plans[order.plan_name]
    warming = Warming(reading, plan, scorer, rate=order.rate, save_seconds=order.save_seconds)
    with console.status("reading a sample"):
        estimate = await warming.estimate()
    needed = math.ceil(estimate.bytes / _MEBIBYTE) * order.share
    advice = f"set passage_store_mb: {needed} in the main file"
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
    file = ProgressFile(order.cache / "warm", identity)
    try:
        if not len(scorer.store):
            file.remove()  # the vectors that it speaks of are gone
        with _progress(console) as bar:
            task = bar.add_task(order.index, total=estimate.documents)
            warmed = await warming.run(
                file, lambda done: bar.update(task, completed=done.documents)
            )
    finally:
        file.close()
    _print_end(console, warmed, scorer, order.as_json)
    if not warmed.complete:
        raise Negative(f"the store is full; {advice}")


def _bi_encoder(config: Config, plan_name: str) -> str:
    """The model whose vectors the plan's searches look for."""
    for stage in config.plans[plan_name].stages:
        if config.main.models[stage.model].kind == "bi-encoder":
            return stage.model
    raise Refused(f"plan {plan_name} has no bi-encoder; what a cross-encoder reads is not kept")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("documents, ends in"),
        TimeRemainingColumn(compact=True),
        console=console,
    )


def _print_estimate(console: Console, estimate: Estimate, needed: int, order: _Order) -> None:
    room = order.config.main.passage_store_mb
    console.print(
        f"{order.index}: {estimate.documents:,} documents, about {estimate.passages:,} passages;"
        f" vectors of {estimate.bytes / _MEBIBYTE:,.1f} MiB, {_spell(estimate.seconds)} to make.\n"
        f"passage_store_mb: {room} {'suffices' if estimate.fits else 'is too little'}"
        f" (needed: {needed}).",
        highlight=False,
    )


def _print_end(console: Console, warmed: Warmed, scorer: BiEncoderScorer, as_json: bool) -> None:
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
