"""`sidecar evaluate`: compares OpenSearch's own order with the rescored one, on judged queries."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

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
from sidecar.commands.terminal import (
    Negative,
    Refused,
    config_option,
    open_option,
    read_configuration,
    run_loop,
    serve_page,
)
from sidecar.commands.ubi_indexes import read_ubi_indexes, ubi_options
from sidecar.config.main_file import Address

if TYPE_CHECKING:
    from sidecar.evaluation.ubi import UbiRecords


@click.command()
@index_option
@queries_option
@qrels_option
@click.option("--plan", "plan_name", help="Plan to measure; by default that of the index's route.")
@body_option
@config_option
@click.option(
    "--k",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Number of hits that count.",
)
@click.option(
    "--proxy", metavar="URL", help="Measure this running sidecar instead of starting one."
)
@json_option
@ubi_options
@open_option
def evaluate(
    index: str | None,
    queries_path: Path | None,
    qrels_path: Path | None,
    plan_name: str | None,
    body_path: Path | None,
    config_path: Path,
    k: int,
    proxy: str | None,
    as_json: bool,
    ubi: bool,
    ubi_queries: str,
    ubi_events: str,
    ubi_action: str,
    open_page: bool,
) -> None:
    """Measure what rescoring changes: nDCG, MRR, recall, queries helped and harmed.

    Runs every judged query directly and through the configured sidecar, which the command starts
    on a free port. Exit status 1: rescoring makes the order worse (the whole interval is below
    zero), or no search was rescored.

    With --ubi it compares plans by users' clicks instead, which the cluster has: the two plans of
    routes with `interleave`, and the arms of routes with `split`.

    Example: sidecar evaluate --index docs --queries queries.jsonl --qrels qrels.tsv

    Example: sidecar evaluate --ubi
    """
    # Imported here, so that `--help` does not wait for them.
    from sidecar.commands.both_orders import search_both_orders
    from sidecar.commands.in_process import choose_plan, configured_sidecar, refusals, warm_up_plan
    from sidecar.evaluation.comparison import Comparison, compare
    from sidecar.evaluation.report import comparison_json, print_comparison
    from sidecar.page.collection import PageCollection
    from sidecar.page.links import write_link

    if open_page and proxy is not None:
        raise Refused("--open is not for --proxy: open /ui on that sidecar's api listener")
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    config = read_configuration(config_path)
    folder = config_path.parent
    if ubi:
        if index or qrels_path or queries_path:
            raise Refused("--ubi needs no --index, --queries or --qrels; leave them out")
        _compare_live(
            read_ubi_indexes(config, folder, ubi_queries, ubi_events, ubi_action), as_json
        )
        return
    if index is None or qrels_path is None:
        raise Refused("--index and --qrels are needed, or --ubi")
    name = choose_plan(config, index, plan_name)
    plan = config.plans[name]
    stderr = Console(stderr=True)
    judged = read_judged_queries(stderr, plan, queries_path, qrels_path, body_path)
    if proxy is None and not plan.enabled:
        stderr.print(f"Plan {name} is not enabled; it is measured as if it were.", highlight=False)

    async def run() -> None:
        pages: list[Address] = []
        async with AsyncExitStack() as cleanup:
            cleanup.enter_context(refusals())
            url, warm_up_header = proxy, plan_name
            if url is None:
                own = configured_sidecar(
                    config,
                    folder,
                    index,
                    name,
                    plan,
                    collection=PageCollection(
                        index, name, judged.template, judged.texts, judged.qrels
                    ),
                    on_page=pages.append,
                )
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
            show(comparison)
            if open_page:
                await serve_page(write_link(pages[0], view="queries", index=index, b=name))
        conclude(comparison)

    def show(comparison: Comparison) -> None:
        if as_json:
            whole = {"index": index, "plan": name, **comparison_json(comparison, judged.texts)}
            click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
        else:
            print_comparison(Console(), comparison, judged.texts)

    def conclude(comparison: Comparison) -> None:
        if not any(status.startswith(("applied", "partial")) for status in comparison.outcomes):
            raise Negative("no search was rescored; docs/reference.md explains the reasons")
        if comparison.interval.high < 0:
            raise Negative("rescoring makes this index's order worse")

    run_loop(run)


def _compare_live(records: UbiRecords, as_json: bool) -> None:
    """Print what clicks say; raises Negative if the sidecar made no order that can be compared."""
    from sidecar.evaluation.live_comparison import compare_arms, compare_interleaved
    from sidecar.evaluation.live_report import live_json, print_live

    pairs, arms = compare_interleaved(records.searches), compare_arms(records.searches)
    if as_json:
        click.echo(json.dumps(live_json(records, pairs, arms), indent=2, ensure_ascii=False))
    else:
        print_live(Console(), records, pairs, arms)
    if not pairs and len(arms) < 2:
        raise Negative("the stored searches name no two plans to compare; see `split` of a route")
