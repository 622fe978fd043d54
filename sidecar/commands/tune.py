"""`sidecar tune`: fits a plan to judged queries, and enables it only if that is known to help."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from pipelines.measures import ndcg
from pipelines.plan import Plan
from sidecar.commands.judged_queries import (
    JudgedQueries,
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
    read_configuration,
    run_loop,
)
from sidecar.config import Config
from sidecar.evaluation.plan_file import read_base, write_plan
from sidecar.screen import progress_bar

if TYPE_CHECKING:
    from pipelines.scoring import Scorer
    from sidecar.evaluation.comparison import Comparison
    from sidecar.evaluation.tuning import Variant
    from sidecar.evaluation.tuning_report import Tuned
    from sidecar.models.scorers import Models


@click.command()
@index_option
@queries_option
@qrels_option
@click.option(
    "--out",
    "out_path",
    required=True,
    type=click.Path(path_type=Path),
    help="The plan file to write, as config/plans/tuned.yaml.",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.option(
    "--plan", "plan_name", help="Plan to start from; that of the index's route if left out."
)
@body_option
@config_option
@click.option(
    "--folds",
    default=5,
    show_default=True,
    type=click.IntRange(2, 100),
    help="Parts that the queries are cut into; each is judged by what the others chose.",
)
@json_option
def tune(
    index: str,
    queries_path: Path | None,
    qrels_path: Path,
    out_path: Path,
    force: bool,
    plan_name: str | None,
    body_path: Path | None,
    config_path: Path,
    folds: int,
    as_json: bool,
) -> None:
    """Fit a plan's window, stages and fusion to judged queries.

    The gain is measured on queries that had no part in the choice. Where it is not above zero
    for certain, the plan is written with `enabled: false`, the reason is told, and the exit
    status is 1.

    Example: sidecar tune --index docs --queries queries.jsonl --qrels qrels.tsv
    --out config/plans/tuned.yaml
    """
    # `--help` need not wait for these.
    from sidecar.commands.in_process import choose_plan, refusals
    from sidecar.evaluation.tuning import FEW_QUERIES, variants_of
    from sidecar.evaluation.tuning_report import print_tuning, remarks_of, tuning_json

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    config = read_configuration(config_path)
    folder = config_path.parent
    name = choose_plan(config, index, plan_name)
    base = config.plans[name]
    if out_path.exists() and not force:
        raise Refused(f"--out {out_path}: is there already; --force overwrites it")
    if not out_path.parent.is_dir():
        raise Refused(f"--out {out_path}: there is no folder {out_path.parent}")
    stderr = Console(stderr=True)
    judged = read_judged_queries(stderr, base, queries_path, qrels_path, body_path)
    if len(judged.texts) < 2 * folds:
        raise Refused(
            f"{len(judged.texts)} judged queries are too few for {folds} folds; judge more, or"
            " give a smaller --folds"
        )
    if len(judged.texts) < FEW_QUERIES:
        stderr.print(
            f"Only {len(judged.texts)} judged queries: too few to trust what comes out; judge at"
            f" least {FEW_QUERIES}.",
            highlight=False,
        )
    variants = variants_of(base)
    work = _Tuning(stderr, config, folder, index, name, judged, variants, folds)

    with refusals():
        tuned = run_loop(work.run)
    text = write_plan(
        read_base(folder / config.main.plans, name),
        base,
        tuned.chosen.plan,
        tuned.tuning.objection is None,
        remarks_of(tuned, index, name),
    )
    out_path.write_text(text, encoding="utf-8")
    if as_json:
        whole = {"index": index, "plan": name, "out": str(out_path), **tuning_json(tuned)}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        print_tuning(Console(), tuned, name)
    if tuned.tuning.objection is not None:
        raise Negative(f"{out_path} is not enabled: {tuned.tuning.objection}")


@dataclass(frozen=True, slots=True)
class _Tuning:
    """All that one run needs, in the order in which it is used."""

    stderr: Console
    config: Config
    folder: Path
    index: str
    name: str
    judged: JudgedQueries
    variants: Sequence[Variant]
    folds: int

    async def run(self) -> Tuned:
        """Fetch, score, choose, and verify through the proxy. Raises as its parts do."""
        from sidecar.commands.in_process import load_plan_models
        from sidecar.evaluation.tuning import tune_variants
        from sidecar.evaluation.tuning_report import Tuned

        models = await asyncio.to_thread(
            load_plan_models, self.config, self.folder, self.variants[0].plan
        )
        try:
            direct, rescored = await self._judge(models.scorer(None))
        except BaseException:
            models.close()
            raise
        tuning = tune_variants(direct, rescored, self.folds)
        verified = await self._verify(self.variants[tuning.chosen].plan, models)
        return Tuned(self.variants, direct, rescored, tuning, verified)

    async def _judge(self, scorer: Scorer) -> tuple[list[float], list[list[float]]]:
        """nDCG by query: in OpenSearch's order, and by variant and query in the plans' orders."""
        from sidecar.commands.in_process import open_session
        from sidecar.evaluation.comparison import CUT
        from sidecar.evaluation.offline import fetch_window, order_by_plans

        upstream = self.config.main.upstream
        plans = [variant.plan for variant in self.variants]
        url = f"{upstream.urls[0].rstrip('/')}/{self.index}/_search"
        bodies = self.judged.bodies(max(plan.rescore_window for plan in plans))
        direct: list[float] = []
        rescored: list[list[float]] = [[] for _ in plans]
        async with open_session(upstream, self.folder) as session:
            with progress_bar(self.stderr, "judging variants", len(bodies)) as advance:
                for query, body in bodies.items():
                    grades = self.judged.qrels[query]
                    window = await fetch_window(session, url, body, plans[0])
                    orders = await order_by_plans(window, plans, scorer)
                    direct.append(ndcg(grades, window.ranked_ids, CUT))
                    for values, order in zip(rescored, orders, strict=True):
                        values.append(ndcg(grades, order, CUT))
                    advance()
        return direct, rescored

    async def _verify(self, plan: Plan, models: Models) -> Comparison:
        """Both orders through the real proxy; closes the models."""
        from sidecar.commands.both_orders import search_both_orders
        from sidecar.commands.in_process import configured_sidecar, warm_up_plan
        from sidecar.evaluation.comparison import CUT, compare

        async with configured_sidecar(
            self.config, self.folder, self.index, self.name, plan, models=models
        ) as url:
            direct, rescored = await search_both_orders(
                self.stderr,
                self.config.main.upstream,
                self.folder,
                self.index,
                url,
                self.judged.bodies(CUT),
                plan_header=None,
                warm_up_header=warm_up_plan(self.name),
            )
        return compare(self.judged.qrels, direct, rescored, CUT)
