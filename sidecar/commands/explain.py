"""`sidecar explain`: why each hit of one search has its rank."""

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
    read_template_or_plain,
)
from sidecar.commands.terminal import (
    Negative,
    config_option,
    open_option,
    read_configuration,
    run_loop,
    serve_page,
)
from sidecar.config.main_file import Address
from sidecar.evaluation.search_body import search_body


@click.command()
@index_option
@click.option("--query", "query_text", required=True, help="The query text.")
@click.option("--plan", "plan_name", help="Plan to explain; by default that of the index's route.")
@body_option
@config_option
@click.option(
    "--size",
    default=10,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Number of hits shown; --json shows the whole window.",
)
@json_option
@open_option
def explain(
    index: str,
    query_text: str,
    plan_name: str | None,
    body_path: Path | None,
    config_path: Path,
    size: int,
    as_json: bool,
    open_page: bool,
) -> None:
    """Explain one search: each hit's ranks and scores, and its best passage.

    Searches through the configured sidecar, which the command starts on a free port. The search
    gets all the time it needs. Exit status 1: the search was not rescored; the command says why.

    Example: sidecar explain --index docs --query "how to prune roses"
    """
    # Imported here, so that `--help` does not wait for them.
    from sidecar.commands.in_process import (
        choose_plan,
        configured_sidecar,
        open_session,
        refusals,
        warm_up_plan,
    )
    from sidecar.evaluation.explanation import (
        Explanation,
        explain_rescoring,
        explanation_json,
        print_explanation,
    )
    from sidecar.evaluation.searching import run_queries
    from sidecar.page.links import write_link

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    config = read_configuration(config_path)
    folder = config_path.parent
    name = choose_plan(config, index, plan_name)
    plan = config.plans[name]
    template = read_template_or_plain(body_path, plan)
    body = search_body(template, query_text, 10)

    async def run() -> None:
        explained: list[Explanation] = []
        pages: list[Address] = []
        async with AsyncExitStack() as cleanup:
            cleanup.enter_context(refusals())
            url = await cleanup.enter_async_context(
                configured_sidecar(
                    config,
                    folder,
                    index,
                    name,
                    plan,
                    on_rescored=lambda *parts: explained.append(explain_rescoring(*parts)),
                    on_page=pages.append,
                )
            )
            session = await cleanup.enter_async_context(
                open_session(config.main.upstream, folder, warm_up_plan(name))
            )
            answers = await run_queries(session, f"{url}/{index}/_search", {"": body})
            show(answers[""].status, explained)
            if open_page:
                own = json.dumps(template) if body_path else ""
                state = {"index": index, "q": query_text, "b": name, "body": own}
                await serve_page(write_link(pages[0], **state))

    def show(status: str, explained: list[Explanation]) -> None:
        if not explained:
            raise Negative(
                f"the search was not rescored: {status}; docs/reference.md explains the reason"
            )
        if as_json:
            whole = {"index": index, "plan": name, "query": query_text, "status": status}
            whole |= explanation_json(explained[0])
            click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
            return
        console = Console()
        print_explanation(console, explained[0], size)
        for stage in explained[0].stages:
            if stage["reason"]:
                console.print(f"Stage {stage['model']} did not finish: {stage['reason']}.")

    run_loop(run)
