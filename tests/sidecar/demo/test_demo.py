"""The whole demo on a small collection: real weights, real sockets."""

import asyncio
import gzip
import json
import os
import signal
import socket
from io import StringIO
from pathlib import Path

import pytest
from aiohttp import ClientSession
from rich.console import Console

from sidecar.app import StartError
from sidecar.demo.collection import Collection
from sidecar.demo.demo import DemoError, build_config, run_demo
from sidecar.demo.index import INDEX


@pytest.fixture
def sample(tmp_path: Path, small_collection: Collection) -> Path:
    """The small collection as a folder."""
    corpus = "".join(
        json.dumps({"_id": document.id, "title": document.title, "text": document.text}) + "\n"
        for document in small_collection.documents
    )
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(corpus.encode()))
    (tmp_path / "queries.jsonl").write_text(
        "".join(
            json.dumps({"_id": query, "text": text}) + "\n"
            for query, text in small_collection.queries.items()
        )
    )
    (tmp_path / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n"
        + "".join(
            f"{query}\t{document}\t{grade}\n"
            for query, grades in small_collection.qrels.items()
            for document, grade in grades.items()
        )
    )
    return tmp_path


class Screen(StringIO):
    """What was printed, and an event for the last line of the demo."""

    def __init__(self) -> None:
        super().__init__()
        self.serving = asyncio.Event()

    def write(self, text: str) -> int:
        if "Ctrl-C ends the demo." in text:
            self.serving.set()
        return super().write(text)


@pytest.mark.model
async def test_once_it_reports_and_leaves_nothing_in_the_cluster(
    cluster: str, sample: Path
) -> None:
    screen = Screen()
    await run_demo(
        Console(file=screen),
        once=True,
        port=0,
        api_port=0,
        opensearch_url=cluster,
        sample=sample,
    )

    printed = screen.getvalue()
    assert "6 judged queries" in printed
    assert "Not every search was rescored" not in printed
    assert "deadline 60000 ms" in printed
    assert not screen.serving.is_set()
    async with ClientSession() as session, session.head(f"{cluster}/{INDEX}") as answer:
        assert answer.status == 404


@pytest.mark.model
async def test_it_serves_what_it_says_until_a_signal(sample: Path) -> None:
    screen = Screen()
    async with asyncio.TaskGroup() as group:
        demo = group.create_task(
            run_demo(
                Console(file=screen),
                once=False,
                port=0,
                api_port=0,
                opensearch_url=None,
                sample=sample,
            )
        )
        await screen.serving.wait()
        lines = screen.getvalue().splitlines()
        outputs = [await shell(line) for line in lines if line.startswith("curl ")]
        api = next(line.split()[1] for line in lines if line.startswith("api "))
        async with ClientSession() as session, session.get(f"{api}/healthz") as answer:
            assert answer.status == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await demo

    rescored, direct = outputs
    assert rescored.count('"title"') == direct.count('"title"') == 5
    assert rescored != direct
    assert [line for line in lines if line.startswith("The embedded OpenSearch scores nearly")]


async def shell(line: str) -> str:
    process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def test_somebody_elses_index_stops_it(cluster: str, sample: Path) -> None:
    async with ClientSession() as session:
        await session.put(f"{cluster}/{INDEX}")
        with pytest.raises(DemoError, match="did not make"):
            await run_demo(
                Console(file=StringIO()),
                once=True,
                port=0,
                api_port=0,
                opensearch_url=cluster,
                sample=sample,
            )
        async with session.head(f"{cluster}/{INDEX}") as answer:
            assert answer.status == 200


async def test_a_port_in_use_is_told_before_anything_is_loaded(cluster: str, sample: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StartError, match="cannot listen"),
    ):
        await run_demo(
            Console(file=StringIO()),
            once=True,
            port=taken.getsockname()[1],
            api_port=0,
            opensearch_url=cluster,
            sample=sample,
        )
    async with ClientSession() as session, session.head(f"{cluster}/{INDEX}") as answer:
        assert answer.status == 404


def test_an_address_that_is_no_url_is_refused() -> None:
    with pytest.raises(DemoError, match="--opensearch localhost:9200: write it as http://"):
        build_config("localhost:9200", 9201, 9280)


def test_the_demos_own_address_is_refused() -> None:
    with pytest.raises(DemoError, match="is the demo's own address; give another --port"):
        build_config("http://localhost:9201", 9201, 9280)
