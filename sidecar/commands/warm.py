"""`sidecar warm`: reads an index once, so that the first search is already fast."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from pipelines.errors import RescoreError
from sidecar.commands.judged_queries import body_option, json_option, read_template_or_plain
from sidecar.commands.terminal import (
    Negative,
    Refused,
    config_option,
    read_configuration,
    run_loop,
)
from sidecar.commands.warm_runs import WarmOptions, ask_queries, teach_student, warm_index
from sidecar.config.main_file import Config, find_bi_encoders

# OpenSearch's own default of `index.max_slices_per_pit`.
_MOST_SLICES = 1024

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.plan import Plan
    from sidecar.config.kendra import KendraIndex
    from sidecar.warming.index_reading import Slice


@click.command()
@click.option(
    "--index",
    required=True,
    help="Index or alias, as applications write it, or the id of an index of apis.kendra.",
)
@click.option(
    "--plan",
    "plan_name",
    help="Plan to warm; by default that of the index's route, or of the index of apis.kendra.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Maximum number of documents per second, to spare the cluster.",
)
@click.option(
    "--save",
    "save_seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How often vectors and progress are written to disk.",
)
@click.option("--dry-run", is_flag=True, help="Only estimate the cost.")
@click.option(
    "--until-full",
    is_flag=True,
    help="Read on until passage_store.memory_mb is full, even if the index is too large for it.",
)
@click.option(
    "--sample",
    type=click.IntRange(100, 10_000),
    metavar="N",
    help="Read only N documents, chosen at random, and teach the model's student with them.",
)
@click.option(
    "--slices",
    metavar="N/M",
    help="Read only the Nth of M parts, for several processes or machines that share the folder of"
    " the passage store.",
)
@click.option(
    "--changed",
    is_flag=True,
    help="Read only documents that were written since the last whole run.",
)
@click.option(
    "--queries",
    "queries_path",
    type=click.Path(path_type=Path),
    help="Read what these queries find: one a line, the same more often, or BEIR jsonl,"
    " id<TAB>text, TREC topics.",
)
@click.option(
    "--ubi",
    is_flag=True,
    help="Read what the queries find that User Behavior Insights has stored, the most frequent"
    " first.",
)
@click.option(
    "--ubi-queries",
    default="ubi_queries",
    show_default=True,
    help="Index of these queries.",
)
@body_option
@config_option
@json_option
def warm(
    index: str,
    plan_name: str | None,
    rate: float | None,
    save_seconds: float,
    dry_run: bool,
    until_full: bool,
    sample: int | None,
    slices: str | None,
    changed: bool,
    queries_path: Path | None,
    ubi: bool,
    ubi_queries: str,
    body_path: Path | None,
    config_path: Path,
    as_json: bool,
) -> None:
    """Store the vectors of an index's passages, so that searches are fast from the start.

    Reads the index once with the sidecar's own account (upstream.username). An interrupted run
    resumes where it stopped. `serve` may run at the same time; it picks up the new vectors. Exit
    status 1: the store is full, or a dry run has found that it would be.

    Of a large index, --queries and --ubi read first what people ask for; a whole run then leaves
    out what is stored. --changed reads what is new since the last whole run.

    With --sample, it teaches the model's student, which estimates the scores of passages that the
    model has not read yet. `serve` uses the new student within a minute.

    Example: sidecar warm --index docs --rate 200
    """
    # Imported here, so that `--help` does not wait for them.
    from sidecar.commands.in_process import choose_plan
    from sidecar.models.loading import ModelLoadError
    from sidecar.warming.index_reading import IndexUnreadable
    from sidecar.warming.progress import AlreadyRunning

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    if sample is not None and (dry_run or until_full):
        raise Refused("--sample goes with neither --dry-run nor --until-full")
    ways = {
        "--sample": sample is not None,
        "--slices": slices is not None,
        "--changed": changed,
        "--queries": queries_path is not None,
        "--ubi": ubi,
    }
    if len(given := [name for name, is_given in ways.items() if is_given]) > 1:
        raise Refused(f"{given[0]} does not go with {given[1]}")
    part = _read_slice(slices)
    config = read_configuration(config_path)
    if config.main.apis.kendra and (kendra_index := config.main.apis.kendra.indexes.get(index)):
        index = kendra_index.index
        plan_name, config = _adapt_plan(config, kendra_index, plan_name)
    name = choose_plan(config, index, plan_name)
    model_name = _bi_encoder(config, name)
    if config.main.passage_store.folder is None:
        raise Refused(
            f"{config_path}: passage_store.folder: name a folder; without one, vectors end with the"
            " process"
        )
    bodies = None
    if queries_path is not None or ubi:
        if dry_run:
            raise Refused("--dry-run is for a whole index")
        queries = (
            _stored_queries(config, config_path.parent, ubi_queries)
            if queries_path is None
            else _file_queries(queries_path)
        )
        bodies = _search_bodies(config.plans[name], body_path, queries)
    order = WarmOptions(
        config,
        config_path.parent,
        index,
        name,
        model_name,
        rate,
        save_seconds,
        dry_run,
        until_full,
        sample,
        as_json,
        part,
        changed,
        bodies,
    )
    try:
        run_loop(lambda: _run(order))
    except (IndexUnreadable, ModelLoadError) as error:
        raise Refused(str(error)) from None
    except AlreadyRunning:
        raise Refused(f"{index} is being warmed by another process; wait until it ends") from None
    except RescoreError as error:
        raise Negative(f"the model failed: {error}; the vectors so far are stored") from None


def _adapt_plan(config: Config, index: KendraIndex, plan_name: str | None) -> tuple[str, Config]:
    """The plan's name, and the configuration with this plan as the index of `apis.kendra` has it:
    it reads the index's own fields."""
    from sidecar.api.doors import choose_plan
    from sidecar.kendra.indexes.served_index import adapt_plan

    kendra = config.main.apis.kendra
    configured = plan_name or index.plan or (kendra.plan if kendra else None)
    try:
        name = choose_plan(config.plans, configured)
    except ValueError as error:
        raise Refused(str(error)) from None
    plans = {**config.plans, name: adapt_plan(config.plans[name], index)}
    return name, config._replace(plans=plans)


def _read_slice(text: str | None) -> Slice:
    from sidecar.warming.index_reading import Slice

    if text is None:
        return Slice()
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= _MOST_SLICES:
        raise Refused(f"--slices {text}: write N/M, such as 1/4; at most {_MOST_SLICES} slices")
    return Slice(int(match[1]), int(match[2]))


def _file_queries(path: Path) -> list[str]:
    from sidecar.evaluation.asked_queries import read_query_file
    from sidecar.evaluation.files import BadFile

    try:
        return read_query_file(path)
    except BadFile as error:
        raise Refused(str(error)) from None


def _stored_queries(config: Config, folder: Path, index: str) -> list[str]:
    from sidecar.cluster_client import open_blocking_client
    from sidecar.evaluation.asked_queries import UBI_FIELDS, read_stored_queries
    from sidecar.warming.index_reading import IndexReading, IndexUnreadable

    client = open_blocking_client(config.main.upstream, folder, 60)
    try:
        with closing(IndexReading(client, index, UBI_FIELDS)) as searches:
            queries = read_stored_queries(searches)
    except IndexUnreadable as error:
        raise Refused(f"--ubi: {error}") from None
    if not queries:
        raise Refused(f"--ubi: {index} has no searches with a user_query")
    return queries


def _search_bodies(
    plan: Plan, body_path: Path | None, queries: Sequence[str]
) -> list[dict[str, Any]]:
    """A search for each query that finds the hits of the plan's window."""
    from sidecar.evaluation.search_body import search_body

    template = read_template_or_plain(body_path, plan)
    return [search_body(template, text, plan.rescore_window) for text in queries]


async def _run(order: WarmOptions) -> None:
    from sidecar.cluster_client import open_blocking_client
    from sidecar.metrics import Metrics
    from sidecar.models.loading import load_models
    from sidecar.opensearch.search_request import list_plan_fields
    from sidecar.warming.index_reading import IndexReading

    main = order.config.main
    fields = list_plan_fields(order.config.plans[order.plan_name])
    reading = IndexReading(
        open_blocking_client(main.upstream, order.folder, 60), order.index, fields, order.part
    )
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
                passage_store_mb=max(1, main.passage_store.memory_mb // order.share),
                shared_store=main.passage_store,
                owns_cache=False,
                students=() if order.sample is None else (order.model_name,),
            )
        scorer = models.bi_encoder(order.model_name)
        assert scorer is not None  # _bi_encoder checked its kind
        if order.bodies is not None:
            await ask_queries(order, reading, scorer, console)
        elif order.sample is None:
            await warm_index(order, reading, uuids, scorer, console)
        else:
            await teach_student(order, order.sample, reading, scorer, console)
    finally:
        await asyncio.to_thread(reading.close)
        if models is not None:
            await asyncio.to_thread(models.close)


def _bi_encoder(config: Config, plan_name: str) -> str:
    """The model whose vectors the plan's searches use."""
    bi_encoders = find_bi_encoders(config.main.models)
    for stage in config.plans[plan_name].stages:
        if stage.model in bi_encoders:
            return stage.model
    raise Refused(f"plan {plan_name} has no bi-encoder; a cross-encoder has no vectors to store")
