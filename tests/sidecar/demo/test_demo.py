"""The whole demo on a small collection: real weights, real sockets."""

import asyncio
import gzip
import json
import os
import socket
import sys
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


# Ports of its own, and a sample of its own; all else as the command has it.
SERVING = """
import asyncio, sys
from pathlib import Path
from rich.console import Console
from sidecar.demo.demo import run_demo

settings = {"port": 0, "api_port": 0, "opensearch_url": None, "sample": Path(sys.argv[1])}
asyncio.run(run_demo(Console(width=200), once=False, **settings))
"""


@pytest.mark.model
async def test_once_it_reports_and_leaves_nothing_in_the_cluster(
    cluster: str, sample: Path
) -> None:
    screen = StringIO()
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
    assert "Ctrl-C" not in printed
    async with ClientSession() as session, session.head(f"{cluster}/{INDEX}") as answer:
        assert answer.status == 404


@pytest.mark.model
async def test_it_serves_what_it_says_until_a_signal(sample: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "faulthandler", "-c", SERVING, str(sample)),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert demo.stdout is not None
    lines: list[str] = []
    try:
        while "Ctrl-C ends the demo." not in lines:
            line = await demo.stdout.readline()
            assert line, "\n".join([*lines, (await demo.communicate())[1].decode()])
            lines.append(line.decode().strip())
        outputs = [await shell(line) for line in lines if line.startswith("curl ")]
        api = next(line.split()[1] for line in lines if line.startswith("api "))
        async with ClientSession() as session, session.get(f"{api}/healthz") as answer:
            assert answer.status == 200
        page = next(line.split()[1] for line in lines if line.startswith("page "))
        async with ClientSession() as session:
            async with session.get(page) as answer:
                assert "<title>Rescore Sidecar</title>" in await answer.text()
            call = {"X-Rescore-Page": "1"}
            async with session.get(f"{page}api/collection", headers=call) as answer:
                assert (await answer.json())["queries"]
        demo.terminate()
        _, errors = await demo.communicate()
        assert demo.returncode == 0, errors.decode()
        assert b"Traceback" not in errors
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()

    rescored, direct = outputs
    assert rescored.count('"title"') == direct.count('"title"') == 5
    assert rescored != direct
    assert [line for line in lines if line.startswith("The embedded OpenSearch scores almost")]


async def shell(line: str) -> str:
    process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def test_somebody_elses_index_stops_it(cluster: str, sample: Path) -> None:
    async with ClientSession() as session:
        await session.put(f"{cluster}/{INDEX}")
        with pytest.raises(DemoError, match="did not create"):
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
    with pytest.raises(DemoError, match="is the demo's own address; choose another --port"):
        build_config("http://localhost:9201", 9201, 9280)
