"""`python -m tests.differential`: the same requests direct and through the sidecar.

Starts the nodes that the tests use, and writes each request whose answers differ, made as small
as it gets, into a folder. Exit status 1 says that there were some.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.differential.corpus import Corpus, load_corpus
from tests.differential.failures import Failure, write_failure
from tests.differential.judge import running_judge
from tests.differential.run import Report, run
from tests.differential.settings import SETTINGS, Setting
from tests.differential.shrink import shrink
from tests.nodes.node import OPENSEARCH_2, OPENSEARCH_3, Node, start_node

_RELEASES = {release.version: release for release in (OPENSEARCH_3, OPENSEARCH_2)}
_SHRUNK = 20
"""Differences of one setting that are made smaller; each takes some hundred requests."""


@click.command()
@click.option("--seed", default=1, show_default=True, help="Other seeds make other requests.")
@click.option(
    "--count", default=1000, show_default=True, help="Requests for each version and setting."
)
@click.option("--version", "versions", type=click.Choice(list(_RELEASES)), multiple=True)
@click.option("--setting", "settings", type=click.Choice(SETTINGS), multiple=True)
@click.option("--first", default=0, show_default=True, help="Number of the first request.")
@click.option(
    "--failures",
    default="differential-failures",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the requests whose answers differ.",
)
def main(
    seed: int,
    count: int,
    versions: tuple[str, ...],
    settings: tuple[Setting, ...],
    first: int,
    failures: Path,
) -> None:
    """Send generated requests to OpenSearch and through the sidecar, and compare the answers.

    Example: python -m tests.differential --seed 7 --count 500 --version 3.8.0 --setting reverse
    """
    # Each search that is not rescored is a line of the sidecar's log, and here there are thousands.
    logging.getLogger("sidecar").setLevel(logging.CRITICAL)
    console = Console()
    reports: dict[tuple[str, Setting], Report] = {}
    bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        tempfile.TemporaryDirectory() as temporary,
        Progress(*bar, TimeRemainingColumn(), console=console) as progress,
    ):
        for version in versions or tuple(_RELEASES):
            folder = Path(temporary) / version
            folder.mkdir()
            with _loaded_node(version, folder) as (node, corpus):
                for setting in settings or SETTINGS:
                    task = progress.add_task(f"{version} {setting}", total=count)
                    with running_judge(folder / setting, node, corpus, setting) as judge:
                        numbers = range(first, first + count)
                        report = run(judge, seed, numbers, partial(progress.advance, task))
                        for found in report.differences[:_SHRUNK]:
                            name = f"{version}-{setting}-{seed}-{found.number}"
                            kept = Failure(setting, version, "", shrink(found.case, judge.differs))
                            difference = judge.judge(kept.case).difference
                            console.print(write_failure(failures, name, kept, difference))
                    reports[version, setting] = report
    _print(console, reports)
    if any(report.differences for report in reports.values()):
        raise SystemExit(1)


@contextmanager
def _loaded_node(version: str, folder: Path) -> Iterator[tuple[Node, Corpus]]:
    node = start_node(_RELEASES[version], folder)
    try:
        yield node, load_corpus(node.host, node.port)
    finally:
        node.stop()


def _print(console: Console, reports: dict[tuple[str, Setting], Report]) -> None:
    table = Table("version", "setting", "requests", "per second", "different", "unsteady")
    for (version, setting), report in reports.items():
        numbers = (
            report.count,
            round(report.count / report.seconds),
            len(report.differences),
            len(report.unsteady),
        )
        table.add_row(version, setting, *map(str, numbers))
    console.print(table)
    by_setting: dict[str, Counter[str]] = {}
    for (_, setting), report in reports.items():
        by_setting.setdefault(setting, Counter()).update(report.outcomes)
    outcomes = Table("outcome", *by_setting)
    every = sum(by_setting.values(), Counter[str]())
    for outcome, _ in every.most_common():
        outcomes.add_row(outcome, *(str(counted[outcome]) for counted in by_setting.values()))
    console.print(outcomes)
    statuses: Counter[int] = Counter()
    for report in reports.values():
        statuses += report.statuses
    shown = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    console.print(f"Direct answers by status: {shown}")
    for (version, setting), report in reports.items():
        for found in report.unsteady:
            assert found.verdict.difference is not None
            what = found.verdict.difference.what
            console.print(f"unsteady: {version} {setting} request {found.number}: {what}")


if __name__ == "__main__":
    main()
