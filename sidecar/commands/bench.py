"""`sidecar bench`: how many searches per second each plan allows on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from sidecar.commands.judged_queries import json_option
from sidecar.commands.terminal import Refused, config_option, read_configuration, run_loop
from sidecar.config.main_file import Config, Upstream

if TYPE_CHECKING:
    from sidecar.bench.measuring import PlanFigures


@click.command()
@config_option
@click.option("--plan", "plan_names", multiple=True, help="Plan to measure; all by default.")
@click.option(
    "--seconds",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0, 3600, min_open=True),
    help="Duration of each of the three measurements per plan.",
)
@click.option(
    "--clients",
    default=8,
    show_default=True,
    type=click.IntRange(2, 256),
    help="Number of concurrent searches in the last measurement.",
)
@json_option
def bench(
    config_path: Path,
    plan_names: tuple[str, ...],
    seconds: float,
    clients: int,
    as_json: bool,
) -> None:
    """Measure each plan on this machine, without a cluster.

    Reports searches per second, latencies and memory. Texts of the bundled sample go through the
    whole path of a search, and a second process plays OpenSearch. Prepared models are the only
    files on disk that are used.

    Example: sidecar bench --plan fused --seconds 10
    """
    # Imported here, so that `--help` does not wait for them.
    from sidecar.bench.machine import describe_machine
    from sidecar.bench.measuring import StandInFailed
    from sidecar.bench.report import print_plan, print_what_is_included
    from sidecar.commands.in_process import refusals

    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
    config = read_configuration(config_path)
    if unknown := sorted(set(plan_names) - set(config.plans)):
        known = ", ".join(sorted(config.plans)) or "none"
        raise Refused(f"--plan {unknown[0]}: there is no such plan (there are: {known})")
    names = plan_names or tuple(sorted(config.plans))
    if not names:
        raise Refused(f"{config_path}: there are no plans to measure")
    console = Console(stderr=True) if as_json else Console()
    measured: list[PlanFigures] = []

    async def run() -> None:
        for name in names:
            measured.append(await _measure(config, config_path, name, seconds, clients, console))
            if not as_json:
                print_plan(console, measured[-1])

    try:
        with refusals():
            run_loop(run)
    except StandInFailed as error:
        raise Refused(str(error)) from None
    if as_json:
        plans = [asdict(one) for one in measured]
        click.echo(json.dumps({"machine": describe_machine(), "plans": plans}, indent=2))
    else:
        print_what_is_included(console)


async def _measure(
    config: Config, config_path: Path, name: str, seconds: float, clients: int, console: Console
) -> PlanFigures:
    from sidecar.bench.measuring import measure_plan, stand_in, steps
    from sidecar.bench.stand_in import INDEX
    from sidecar.commands.in_process import configured_sidecar, load_plan_models, warm_up_plan
    from sidecar.metrics import Metrics
    from sidecar.screen import progress_bar

    plan, folder, metrics = config.plans[name], config_path.parent, Metrics()
    async with stand_in(plan) as beside:
        main = config.main.model_copy(update={"upstream": Upstream(urls=(beside.url,))})
        config = Config(main, config.plans)
        with console.status(f"{name}: loading the models"):
            models = await asyncio.to_thread(
                load_plan_models, config, folder, plan, metrics, keep_vectors=False
            )
        async with configured_sidecar(config, folder, INDEX, name, plan, models=models) as proxy:
            with progress_bar(console, name, steps()) as advance:
                return await measure_plan(
                    name,
                    plan,
                    beside,
                    proxy,
                    warm_up_plan(name),
                    metrics,
                    {stage.model: config.main.models[stage.model].kind for stage in plan.stages},
                    seconds=seconds,
                    clients=clients,
                    on_step=advance,
                )
