"""Runs a soak and writes docs/soak.md: `make soak ARGS='--minutes 60'`.

Needs Java and Maven for the nodes. The exit status is 1 if there is a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.cluster import Client, bulk_body
from benchmarks.serving import Serving, serving
from benchmarks.soak.clients import WRITTEN, Clients
from benchmarks.soak.page import write_page
from benchmarks.soak.results import Results, list_faults
from benchmarks.soak.sidecar import INDEX, MODELS, PLANS, VARIANTS, Watched
from benchmarks.soak.trouble import Trouble, finish
from sidecar.bench.machine import describe_machine
from sidecar.demo.collection import SAMPLE, read_collection
from tests.nodes.cluster import Cluster, start_cluster
from tests.nodes.node import OPENSEARCH_3

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "soak.md"
_QUERIES: Final = 12
_REST_S: Final = 15.0
_SAMPLES: Final = 120


def main() -> None:
    arguments = read_arguments()
    results = Results()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nodes").mkdir()
        cluster = start_cluster(folder / "nodes")
        try:
            documents = fill(cluster.urls[0])
            with serving(
                folder / "config",
                cluster.urls,
                {"model": MODELS[arguments.model]},
                PLANS,
                {INDEX: "fused"},
                passage_store={"folder": str(folder / "passages")},
            ) as running:
                try:
                    asyncio.run(soak(arguments, cluster, running, folder / "config", results))
                finally:
                    if arguments.log is not None:
                        shutil.copyfile(folder / "config" / "log", arguments.log)
        finally:
            cluster.stop()
    command = f"make soak ARGS='{' '.join(sys.argv[1:])}'"
    page = write_page(results, command, describe_load(arguments, documents), describe_machine())
    print(page)
    if arguments.page:
        PAGE.write_text(page, encoding="utf-8")
    sys.exit(bool(list_faults(results)))


def read_arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--minutes", type=float, default=60, help="length of the load")
    options.add_argument("--rate", type=float, default=10, help="searches a second")
    options.add_argument("--reload-every", type=float, default=60, metavar="SECONDS")
    options.add_argument("--kill-every", type=float, default=180, metavar="SECONDS")
    options.add_argument("--model", choices=MODELS, default="minilm", help="which model rescores")
    options.add_argument("--log", type=Path, metavar="FILE", help="keep the sidecar's log")
    options.add_argument(
        "--no-page", dest="page", action="store_false", help="print, and leave docs/soak.md alone"
    )
    return options.parse_args()


def fill(url: str) -> int:
    """Create both indexes, with a copy of each on every node; returns the number of texts."""
    client = Client(url)
    for index in (INDEX, WRITTEN):
        settings = {"number_of_shards": 1, "number_of_replicas": 2}
        client.ask("PUT", f"/{index}", json.dumps({"settings": settings}))
    documents = len(read_collection(SAMPLE).documents)
    client.ask("POST", "/_bulk", bulk_body(INDEX, 0, documents))
    client.ask("POST", f"/{INDEX}/_forcemerge?max_num_segments=1&flush=true")
    client.ask("POST", f"/{INDEX}/_refresh")
    client.ask("GET", "/_cluster/health?wait_for_status=green&timeout=60s")
    return documents


async def soak(
    arguments: argparse.Namespace,
    cluster: Cluster,
    running: Serving,
    folder: Path,
    results: Results,
) -> None:
    """The whole run, from the first sample to the last."""
    # A client with a pool would retry on a connection that was closed; every loss must show.
    connector = aiohttp.TCPConnector(limit=0, force_close=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        watched = Watched(running, folder, session)
        trouble = Trouble(cluster, arguments.kill_every, results)
        queries = list(islice(read_collection(SAMPLE).queries.values(), _QUERIES))
        clients = Clients(session, watched.url, watched.api, queries, results, trouble)
        await clients.learn_plain(cluster.urls)
        for variant in VARIANTS:
            await watched.reload(variant, results)
            if variant.outcome == "applied":
                await clients.learn(variant.plan, variant.window)
        await asyncio.sleep(_REST_S)
        results.before = await watched.sample(0)
        loop = asyncio.get_running_loop()
        work = [
            loop.create_task(clients.run(arguments.rate, 1, 2, 1)),
            loop.create_task(reload_on(watched, arguments.reload_every, results)),
            loop.create_task(trouble.run()),
        ]
        await sample_on(watched, arguments.minutes * 60, work, results)
        for task in work:
            task.cancel()
        for task in work:
            with suppress(asyncio.CancelledError):
                await task
    # Without any connection.
    async with aiohttp.ClientSession() as session:
        last = Watched(running, folder, session)
        await asyncio.sleep(_REST_S)
        results.after = await last.sample(arguments.minutes * 60)
        clients = Clients(session, last.url, last.api, queries, results, trouble)
        await clients.find_lost_writes()


async def reload_on(watched: Watched, every_s: float, results: Results) -> None:
    """Reload until cancelled; a reload that has begun ends."""
    for variant in cycle(VARIANTS):
        await asyncio.sleep(every_s)
        await finish(watched.reload(variant, results))


async def sample_on(
    watched: Watched, seconds: float, work: list[asyncio.Task[None]], results: Results
) -> None:
    """Sample for that long; ends early with the error of what does not work."""
    begun = time.monotonic()
    while (elapsed := time.monotonic() - begun) < seconds:
        results.samples.append(await watched.sample(elapsed))
        done, _ = await asyncio.wait(work, timeout=seconds / _SAMPLES)
        for task in done:
            task.result()


def describe_load(arguments: argparse.Namespace, documents: int) -> str:
    """What ran, in sentences."""
    return (
        f"The load lasted {arguments.minutes:g} minutes: a sidecar with the model "
        f"`{arguments.model}` ({MODELS[arguments.model]['source']}) in front "
        f"of three nodes of OpenSearch {OPENSEARCH_3.version}, all on this machine.\n"
        f"It had {arguments.rate:g} searches a second over {documents:,} texts, a quarter as many "
        "second pages and multi-searches, a bulk\nof 20 documents, a rerank call and two clients "
        "that vanish each second. Every "
        f"{arguments.reload_every:g} seconds the\nconfiguration was replaced, by another plan, "
        "window, or set of models, or by a mistake. Every "
        f"{arguments.kill_every:g} seconds a\nnode was killed, and started again 15 seconds later."
    )


if __name__ == "__main__":
    main()
