"""`python -m tests.reach`: writes docs/reach.md, with a real OpenSearch 3.8.0 behind the sidecar.

`--before FOLDER` also sends the requests to the sidecar of another checkout; without it, the column
of the page stays.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import yaml
from opensearchpy import OpenSearch

from tests.nodes.node import OPENSEARCH_3, Node, start_node
from tests.reach.asking import (
    OLD_PLANS,
    OLD_ROUTES,
    PLANS,
    ROUTES,
    Addresses,
    ask,
    new_main,
    old_main,
)
from tests.reach.asking import signed_main as write_signed_main
from tests.reach.page import PAGE, read_page, write_page
from tests.reach.rows import DEFAULT_PIPELINES, PIPELINES, ROWS
from tests.reach.upstream import DOCUMENTS, recorded_upstream
from tests.running import running_sidecar


@click.command()
@click.option("--before", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(before: Path | None) -> None:
    """Write docs/reach.md."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "node").mkdir()
        node = start_node(OPENSEARCH_3, folder / "node")
        try:
            _load(node)
            with recorded_upstream((node.host, node.port)) as url:
                old = [row[3] for row in read_page()]
                if before is not None:
                    with _old_sidecar(before, folder / "old", url) as addresses:
                        old = [ask(row, addresses) for row in ROWS]
                with sidecars(folder, url) as addresses:
                    new = [ask(row, addresses) for row in ROWS]
        finally:
            node.stop()
    if len(old) != len(ROWS):
        raise click.UsageError("the page has other rows; give --before")
    PAGE.write_text(write_page(old, new))


@contextmanager
def sidecars(folder: Path, url: str) -> Iterator[Addresses]:
    """The sidecar with everything that is off by default, and one with `upstream.resign`."""
    signed = write_signed_main(url, folder / "signed")
    with (
        running_sidecar(
            folder / "new", url, PLANS, ROUTES, main=new_main(url, folder / "new")
        ) as plain,
        running_sidecar(folder / "signed", url, PLANS, ROUTES, main=signed) as resigning,
    ):
        yield {
            "proxy": plain.proxy,
            "api": plain.api,
            "signed": resigning.proxy,
        }


def _load(node: Node) -> None:
    with OpenSearch(node.url) as client:
        for index in ROUTES:
            client.indices.create(index=index, body={"settings": {"number_of_shards": 1}})
            for place, document in enumerate(DOCUMENTS):
                client.index(index=index, id=str(place), body=document, refresh=True)
        for name, pipeline in PIPELINES.items():
            client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=pipeline)
        for index, name in DEFAULT_PIPELINES.items():
            setting = {"index.search.default_pipeline": name}
            client.indices.put_settings(index=index, body=setting)


@contextmanager
def _old_sidecar(checkout: Path, folder: Path, url: str) -> Iterator[Addresses]:
    """The sidecar of another checkout, as a process."""
    (folder / "plans").mkdir(parents=True)
    for name, plan in OLD_PLANS.items():
        (folder / "plans" / f"{name}.yaml").write_text(yaml.safe_dump(plan))
    proxy, api = _free_ports(2)
    main = {
        **old_main(url),
        "listen": f"127.0.0.1:{proxy}",
        "api_listen": f"127.0.0.1:{api}",
        "routes": [{"index": index, "plan": plan} for index, plan in OLD_ROUTES.items()],
    }
    config = folder / "sidecar.yaml"
    config.write_text(yaml.safe_dump(main))
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    command = [sys.executable, "-m", "sidecar", "serve", "--config", str(config)]
    process = subprocess.Popen(command, cwd=checkout, env=environment)
    try:
        _wait_for(proxy, process)
        yield {
            "proxy": ("127.0.0.1", proxy),
            "signed": ("127.0.0.1", proxy),
            "api": ("127.0.0.1", api),
        }
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once the sidecar rescores; its models are loaded after it listens."""
    row = next(row for row in ROWS if row.target == "/docs/_search?search_pipeline=renames")
    plain: Addresses = {"proxy": ("127.0.0.1", port)}
    while process.poll() is None:
        try:
            if "loading" not in ask(row, plain):
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise click.ClickException("the sidecar before does not start")


def _free_ports(count: int) -> Sequence[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    main()
