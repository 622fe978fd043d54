"""`sidecar evaluate`: OpenSearch's own order against the rescored one, on judged queries."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import click
from rich.console import Console

from sidecar.commands.judged_queries import (
    body_option,
    index_option,
    json_option,
    qrels_option,
    queries_option,
    read_judged_queries,
)
from sidecar.commands.terminal import Negative, config_option, read_configuration, run_loop


@click.command()
@index_option
@queries_option
@qrels_option
@click.option("--plan", "plan_name", help="Plan to measure; that of the index's route if left out.")
@body_option
@config_option
@click.option(
    "--k",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many hits are judged.",
)
@click.option(
    "--proxy", metavar="URL", help="Measure this running sidecar instead of starting one."
)
@json_option
def evaluate(
    index: str,
    queries_path: Path | None,
    qrels_path: Path,
    plan_name: str | None,
    body_path: Path | None,
    config_path: Path,
    k: int,
    proxy: str | None,
    as_json: bool,
) -> None:
    """Measure what rescoring changes: nDCG, MRR, recall, queries helped and harmed.

    Searches with every judged query, directly and through the configured sidecar, which is
    started on a free port. Exit status 1: rescoring is worse for certain (the whole interval is
    below zero), or no search was rescored.

    Example: sidecar evaluate --index docs --queries queries.jsonl --qrels qrels.tsv
    """
    # `--help` need not wait for these.
    from sidecar.commands.both_orders import search_both_orders
    from sidecar.commands.in_process import choose_plan, configured_sidecar, refusals, warm_up_plan
    from sidecar.evaluation.comparison import compare
    from sidecar.evaluation.report import comparison_json, print_comparison

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    config = read_configuration(config_path)
    folder = config_path.parent
    name = choose_plan(config, index, plan_name)
    plan = config.plans[name]
    stderr = Console(stderr=True)
    judged = read_judged_queries(stderr, plan, queries_path, qrels_path, body_path)
    if proxy is None and not plan.enabled:
        stderr.print(f"Plan {name} is not enabled; it is measured as if it were.", highlight=False)

    async def run() -> None:
        async with AsyncExitStack() as cleanup:
            cleanup.enter_context(refusals())
            url, warm_up_header = proxy, plan_name
            if url is None:
                own = configured_sidecar(config, folder, index, name, plan)
                url, warm_up_header = await cleanup.enter_async_context(own), warm_up_plan(name)
            direct, rescored = await search_both_orders(
                stderr,
                config.main.upstream,
                folder,
                index,
                url,
                judged.bodies(k),
                plan_header=plan_name,
                warm_up_header=warm_up_header,
            )
        comparison = compare(judged.qrels, direct, rescored, k)
        if as_json:
            whole = {"index": index, "plan": name, **comparison_json(comparison, judged.texts)}
            click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
        else:
            print_comparison(Console(), comparison, judged.texts)
        if not any(status.startswith(("applied", "partial")) for status in comparison.outcomes):
            raise Negative(
                "no search was rescored; see docs/reference.md for what the reasons mean"
            )
        if comparison.interval.high < 0:
            raise Negative("rescoring makes this index's order worse")

    run_loop(run)
