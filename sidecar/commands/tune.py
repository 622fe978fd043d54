"""`sidecar tune`: fits a plan to judged queries, and enables it only if it is shown to help."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Mapping, Sequence
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
    read_template_or_plain,
)
from sidecar.commands.terminal import (
    Negative,
    Refused,
    config_option,
    read_configuration,
    run_loop,
)
from sidecar.commands.ubi_indexes import read_ubi_indexes, ubi_options
from sidecar.config.main_file import Config
from sidecar.evaluation.plan_file import read_base, write_plan
from sidecar.screen import progress_bar

if TYPE_CHECKING:
    from pipelines.plan import RelevanceLevels
    from sidecar.evaluation.comparison import Comparison
    from sidecar.evaluation.offline import RememberingScorer, Window
    from sidecar.evaluation.tuning_report import TuningOutcome
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
    help="The plan file to write, such as config/plans/tuned.yaml.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option(
    "--plan", "plan_name", help="Plan to start from; by default that of the index's route."
)
@body_option
@config_option
@click.option(
    "--folds",
    default=5,
    show_default=True,
    type=click.IntRange(2, 100),
    help="Parts for cross-validation; each part is judged with what the others chose.",
)
@json_option
@click.option(
    "--clicks",
    "clicks_path",
    type=click.Path(path_type=Path),
    help="Learn from clicks: CSV of query,shown,clicked, with the ids in the order shown.",
)
@click.option(
    "--separator",
    default="|",
    show_default=True,
    help="Between the ids in a column of --clicks.",
)
@click.option(
    "--propensity",
    type=click.FloatRange(0, 4),
    metavar="ETA",
    help="How much less users look at low ranks: 1/rank^ETA. Estimated from the clicks if omitted.",
)
@ubi_options
def tune(
    index: str | None,
    queries_path: Path | None,
    qrels_path: Path | None,
    out_path: Path,
    force: bool,
    plan_name: str | None,
    body_path: Path | None,
    config_path: Path,
    folds: int,
    as_json: bool,
    clicks_path: Path | None,
    separator: str,
    propensity: float | None,
    ubi: bool,
    ubi_queries: str,
    ubi_events: str,
    ubi_action: str,
) -> None:
    """Fit a plan's window, stages, weights and fusion to judged queries, or to clicks.

    The gain is measured on queries that had no part in the choice. If its interval is not above
    zero, the plan is written with `enabled: false`, the command says why, and the exit status
    is 1.

    Example: sidecar tune --index docs --queries queries.jsonl --qrels qrels.tsv
    --out config/plans/tuned.yaml
    """
    sources = [
        name
        for name, given in (("--qrels", qrels_path), ("--clicks", clicks_path), ("--ubi", ubi))
        if given
    ]
    if index is None or len(sources) != 1:
        raise Refused("--index is needed, and one of --qrels, --clicks and --ubi")
    if qrels_path is None and queries_path is not None:
        raise Refused(f"--queries belongs to --qrels; {sources[0]} names queries by their texts")
    if qrels_path is not None and propensity is not None:
        raise Refused("--propensity belongs to clicks")
    # Imported here, so that `--help` does not wait for them.
    from sidecar.commands.in_process import choose_plan, refusals
    from sidecar.evaluation.click_judgments import judge_clicks
    from sidecar.evaluation.impressions import read_impressions
    from sidecar.evaluation.tuning import FEW_QUERIES
    from sidecar.evaluation.tuning_report import print_tuning, remarks_of, tuning_json

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    config = read_configuration(config_path)
    folder = config_path.parent
    name = choose_plan(config, index, plan_name)
    base = config.plans[name]
    if out_path.exists() and not force:
        raise Refused(f"--out {out_path}: the file exists; --force overwrites it")
    if not out_path.parent.is_dir():
        raise Refused(f"--out {out_path}: there is no folder {out_path.parent}")
    stderr = Console(stderr=True)
    notes: tuple[str, ...] = ()
    if qrels_path is not None:
        judged = read_judged_queries(stderr, base, queries_path, qrels_path, body_path)
    else:
        template = read_template_or_plain(body_path, base)
        try:
            if clicks_path is not None:
                pages = read_impressions(clicks_path, separator)
            else:
                pages = read_ubi_indexes(
                    config, folder, ubi_queries, ubi_events, ubi_action
                ).impressions()
            clicks = judge_clicks(pages, propensity)
        except ValueError as error:
            raise Refused(f"{sources[0]}: {error}") from None
        judged = JudgedQueries({text: text for text in clicks.grades}, clicks.grades, template)
        notes = (clicks.remark,)
    if len(judged.texts) < 2 * folds:
        raise Refused(
            f"{len(judged.texts)} judged queries are too few for {folds} folds; judge more, or"
            " set a smaller --folds"
        )
    if len(judged.texts) < FEW_QUERIES:
        stderr.print(
            f"Only {len(judged.texts)} judged queries: too few for a reliable result; judge at"
            f" least {FEW_QUERIES}.",
            highlight=False,
        )
    work = _TuningRun(
        stderr, config, folder, index, name, judged, folds, notes, learns_levels=bool(qrels_path)
    )

    with refusals():
        outcome = run_loop(work.run)
    text = write_plan(
        read_base(folder / config.main.plans_folder, name),
        base,
        outcome.chosen.plan.model_copy(
            update={
                "relevance_levels": outcome.levels,
                "min_relevance": base.min_relevance if outcome.levels else None,
            }
        ),
        outcome.choice.objection is None,
        remarks_of(outcome, index, name),
    )
    out_path.write_text(text, encoding="utf-8")
    if as_json:
        whole = {"index": index, "plan": name, "out": str(out_path), **tuning_json(outcome)}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        print_tuning(Console(), outcome, name)
    if outcome.choice.objection is not None:
        raise Negative(f"{out_path} is not enabled: {outcome.choice.objection}")


@dataclass(frozen=True, slots=True)
class _TuningRun:
    """Everything that one run needs, in the order of use."""

    stderr: Console
    config: Config
    folder: Path
    index: str
    name: str
    judged: JudgedQueries
    folds: int
    notes: tuple[str, ...]
    learns_levels: bool

    async def run(self) -> TuningOutcome:
        """Fetch, score, choose, and verify through the proxy. Raises what these raise."""
        from sidecar.commands.in_process import load_plan_models
        from sidecar.evaluation.comparison import CUT
        from sidecar.evaluation.offline import RememberingScorer, rate_hits
        from sidecar.evaluation.tuning import MOST_ROUNDS, Descents, tune_variants, variants_of
        from sidecar.evaluation.tuning_report import TuningOutcome

        base = self.config.plans[self.name]
        models = await asyncio.to_thread(load_plan_models, self.config, self.folder, base)
        try:
            windows = await self._fetch(base)
            scorers = {query: RememberingScorer(models.scorer(None)) for query in windows}
            descents = Descents(base, len(windows), self.folds)
            values: dict[Plan, list[float]] = {}
            for number in range(MOST_ROUNDS + 1):
                plans = descents.next_plans(values)
                if not plans:
                    break
                values |= await self._judge(windows, scorers, plans, number)
            variants = variants_of(base, values)
            direct = [
                ndcg(self.judged.qrels[query], window.ranked_ids, CUT)
                for query, window in windows.items()
            ]
            rescored = [values[variant.plan] for variant in variants]
            seen = descents.seen([variant.plan for variant in variants])
            choice = tune_variants(direct, rescored, self.folds, seen)
            chosen = variants[choice.chosen].plan
            rated = {
                query: await rate_hits(window, chosen, scorers[query])
                for query, window in windows.items()
            }
        except BaseException:
            models.close()
            raise
        verified = await self._verify(chosen, models)
        levels, notes = self._learn_levels(rated)
        return TuningOutcome(
            variants, direct, rescored, choice, verified, levels, (*self.notes, *notes)
        )

    async def _fetch(self, base: Plan) -> dict[str, Window]:
        """The window of each query, as large as any variant needs."""
        from sidecar.commands.in_process import open_session
        from sidecar.evaluation.offline import fetch_window
        from sidecar.evaluation.tuning import settings_to_try

        upstream = self.config.main.upstream
        url = f"{upstream.urls[0].rstrip('/')}/{self.index}/_search"
        largest = max(settings_to_try(base)[0].values, key=lambda value: value or 0)
        bodies = self.judged.bodies(int(largest or 0))
        windows = {}
        async with open_session(upstream, self.folder) as session:
            with progress_bar(self.stderr, "searching", len(bodies)) as advance:
                for query, body in bodies.items():
                    windows[query] = await fetch_window(session, url, body, base)
                    advance()
        return windows

    async def _judge(
        self,
        windows: Mapping[str, Window],
        scorers: Mapping[str, RememberingScorer],
        plans: Sequence[Plan],
        number: int,
    ) -> dict[Plan, list[float]]:
        """By plan, nDCG of each query."""
        from sidecar.evaluation.comparison import CUT
        from sidecar.evaluation.offline import order_by_plans

        values: dict[Plan, list[float]] = {plan: [] for plan in plans}
        heading = f"judging variants, round {number + 1}"
        with progress_bar(self.stderr, heading, len(windows)) as advance:
            for query, window in windows.items():
                orders = await order_by_plans(window, plans, scorers[query])
                for plan, order in zip(plans, orders, strict=True):
                    values[plan].append(ndcg(self.judged.qrels[query], order, CUT))
                advance()
        return values

    def _learn_levels(
        self, rated: Mapping[str, Sequence[tuple[str, float]]]
    ) -> tuple[RelevanceLevels | None, tuple[str, ...]]:
        """The levels of relevance, and a sentence on them."""
        from sidecar.evaluation.relevance_levels import NoLevels, fit_levels, judged_pairs

        if not self.learns_levels:
            return None, ()
        pairs, unjudged = judged_pairs(rated, self.judged.qrels)
        try:
            levels = fit_levels(pairs)
        except NoLevels as error:
            return None, (f"No relevance levels: {error}.",)
        how = ", unjudged ones counted as not relevant" if unjudged else ""
        return levels, (f"Relevance levels are from {len(pairs):,} hits{how}.",)

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
