"""What breaks: the upstream, the model, the disk. (Clients that leave: test_leaving_clients.py.)

Nothing hangs, no search fails that would have succeeded directly, nothing is sent or answered
twice, and connections return to where they were.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.fake import FakeBiEncoder
from sidecar.models.passage_files import load_passages
from sidecar.models.passage_keeping import PassageKeeper
from sidecar.models.passage_store import PassageStore
from sidecar.models.scorers import BiEncoderScorer, Models
from tests.running import running_sidecar
from tests.sidecar.relay.wire import ScriptedUpstream, Wire
from tests.traps.pair import WORDS_FIRST
from tests.traps.scripted import (
    SEARCH,
    WRITE,
    Before,
    StuckModel,
    before,
    json_answer,
    read_answer,
    read_request,
    search_answer,
)

Break = Callable[[Wire], Awaitable[None]]


def _says(data: bytes, *, reset: bool = False) -> Break:
    async def say(node: Wire) -> None:
        if data:
            await node.send(data)
        if reset:
            node.reset()
        else:
            node.close()

    return say


_CUT = json_answer(b"x" * 1000)[:-900]
_CHUNKS = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"

# Before the whole head has come the client is told. After it, its answer ends short; or it is
# told as well, where head and fault come in one piece.
FAULTS: dict[str, tuple[Break, bool]] = {
    "closes before the head": (_says(b""), True),
    "resets before the head": (_says(b"", reset=True), True),
    "closes in the head": (_says(b"HTTP/1.1 200 OK\r\ncontent-le"), True),
    "says something that is not HTTP": (_says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), True),
    "gives two lengths": (
        _says(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"),
        True,
    ),
    "switches protocols": (_says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), True),
    "closes in the body": (_says(_CUT), False),
    "closes in a chunk": (_says(_CHUNKS + b"5\r\nab"), False),
    "closes between chunks": (_says(_CHUNKS + b"2\r\nab\r\n"), False),
    "breaks a chunk": (_says(_CHUNKS + b"2\r\nabc\r\nzz\r\n"), False),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_write_is_sent_once_and_its_sender_learns_that_the_answer_is_missing(
    sidecar: Before, name: str
) -> None:
    fault, before_head = FAULTS[name]
    client = await sidecar.ask(WRITE)
    node = await sidecar.next_node()
    assert await read_request(node) == WRITE
    await fault(node)
    head = await client.head()
    if before_head or head.startswith(b"HTTP/1.1 502 "):
        assert b'"upstream_broken"' in await client.until(b"}, ")
    else:
        cut = await client.rest()
        assert not cut.endswith(b"0\r\n\r\n")
        assert len(cut) < 1000
    assert sidecar.upstream.none_waits
    assert sidecar.sidecar.metric("relay_errors_total", reason="upstream_broken") == 1
    await sidecar.works()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_search_that_would_have_succeeded_directly_succeeds(
    sidecar: Before, name: str
) -> None:
    client = await sidecar.ask(SEARCH)
    node = await sidecar.next_node()
    assert b'"size":20' in await read_request(node)
    await FAULTS[name][0](node)
    node = await sidecar.next_node()
    assert await read_request(node) == SEARCH
    await node.send(json_answer(b'{"answer":1}'))
    head, body = await read_answer(client)
    assert body == b'{"answer":1}'
    assert b"\r\nX-Rescore: failed; reason=upstream; plan=docs" in head
    assert sidecar.outcomes("failed", "upstream") == 1


@pytest.mark.parametrize("name", FAULTS)
async def test_a_search_whose_second_answer_breaks_too_ends_as_it_would_directly(
    sidecar: Before, name: str
) -> None:
    fault, before_head = FAULTS[name]
    client = await sidecar.ask(SEARCH)
    for _ in range(2):
        node = await sidecar.next_node()
        await read_request(node)
        await fault(node)
    head = await client.head()
    if before_head or head.startswith(b"HTTP/1.1 502 "):
        assert b'"upstream_broken"' in await client.until(b"}, ")
    else:
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
    assert sidecar.upstream.none_waits


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (json_answer(b'{"error":"no"}', "400 Bad Request"), "upstream_status"),
        (json_answer(b"not JSON at all"), "unreadable"),
        (json_answer(b'{"hits":{}}'), "unreadable"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
            "unreadable",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n"
            b"content-length: 2\r\n\r\nok",
            "unreadable",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            b"content-length: 99999999\r\n\r\n",
            "too_large",
        ),
    ],
    ids=["400", "no JSON", "no hits", "no JSON by name", "no gzip", "99 MB"],
)
async def test_an_answer_that_cannot_be_read_is_asked_for_again_as_it_came(
    sidecar: Before, answer: bytes, reason: str
) -> None:
    client = await sidecar.ask(SEARCH)
    node = await sidecar.next_node()
    await read_request(node)
    await node.send(answer)
    if reason == "too_large":
        await node.wait_closed()
        node = await sidecar.next_node()
        # The fields of the plan alone may be held.
        assert (await read_request(node)).startswith(b"POST /docs/_search?_source_includes=")
        await node.send(answer)
        await node.wait_closed()
        node = await sidecar.next_node()
        answer = json_answer(b"{}")
    elif reason == "upstream_status":
        # OpenSearch may have stopped reading a connection after a 400.
        node = await sidecar.next_node()
    assert await read_request(node) == SEARCH
    await node.send(answer)
    # Whatever OpenSearch says now is the client's, untouched.
    head, _, body = answer.partition(b"\r\n\r\n")
    said = b"\r\nX-Rescore: failed; reason=%s; plan=docs" % reason.encode()
    assert await read_answer(client) == (head + said, body)


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(b'{"error":"busy"}', "429 Too Many Requests"),
        json_answer(b'{"error":"red"}', "503 Service Unavailable"),
        json_answer(b'{"error":"gone"}', "500 Internal Server Error"),
    ],
    ids=["429", "503", "500"],
)
async def test_a_search_is_not_sent_again_to_a_node_in_trouble(
    sidecar: Before, answer: bytes
) -> None:
    client = await sidecar.ask(SEARCH)
    node = await sidecar.next_node()
    await read_request(node)
    await node.send(answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    said = b"\r\nX-Rescore: failed; reason=upstream_status; plan=docs"
    answered, content = await read_answer(client)
    assert (sorted(answered.lower().split(b"\r\n")), content) == (
        sorted((head + said).lower().split(b"\r\n")),
        body,
    )
    assert sidecar.upstream.none_waits


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Busy", "504 Late", "403 No"])
async def test_a_refusal_passes_untouched_and_is_not_tried_again(
    sidecar: Before, status: str
) -> None:
    client = await sidecar.ask(WRITE)
    node = await sidecar.next_node()
    await read_request(node)
    answer = json_answer(b'{"error":{"type":"rejected"}}', status)
    await node.send(answer)
    await client.expect(answer)
    assert sidecar.upstream.none_waits


@pytest.mark.parametrize("raw", [WRITE, SEARCH], ids=["a write", "a search"])
async def test_a_silent_upstream_holds_nobody_but_its_own_client(
    sidecar: Before, raw: bytes
) -> None:
    waiting = await sidecar.ask(raw)
    silent = await sidecar.next_node()
    await read_request(silent)
    for _ in range(3):
        await sidecar.works()
    waiting.close()
    await silent.wait_closed()
    assert sidecar.upstream.none_waits


async def test_an_upstream_that_comes_back_is_used_at_once(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    async with before(upstream, tmp_path) as sidecar:
        port = upstream.port
        upstream.stop()
        for raw in (WRITE, SEARCH):
            client = await sidecar.ask(raw)
            assert (await client.head()).startswith(b"HTTP/1.1 502 ")
        again = ScriptedUpstream()
        await again.start(port)
        sidecar.upstream = again
        await sidecar.works()
        await sidecar.settle()
        again.stop()


class FaultyModel:
    """A cross-encoder that does what `scores` says, given the number of texts."""

    def __init__(self, scores: Callable[[int], FloatArray]) -> None:
        self._scores = scores

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        return self._scores(len(texts))


def _raise(count: int) -> FloatArray:
    raise MemoryError("no memory left on the device")


MODELS: dict[str, tuple[Callable[[int], FloatArray], str]] = {
    "raises": (_raise, "model"),
    "says NaN": (lambda count: np.full(count, np.nan, np.float32), "scores"),
    "says infinity": (lambda count: np.full(count, np.inf, np.float32), "scores"),
    "says too little": (lambda count: np.ones(count - 1, np.float32), "scores"),
    "says too much": (lambda count: np.ones(count + 1, np.float32), "scores"),
    "says nothing": (lambda count: np.ones(0, np.float32), "scores"),
    "says one number for all": (lambda count: np.ones((), np.float32), "scores"),
    "says it in another shape": (lambda count: np.ones((count, 1), np.float32), "scores"),
}


@pytest.mark.parametrize("name", MODELS)
async def test_a_model_that_fails_leaves_opensearchs_order(
    upstream: ScriptedUpstream, tmp_path: Path, name: str
) -> None:
    scores, reason = MODELS[name]
    async with before(upstream, tmp_path, FaultyModel(scores)) as sidecar:
        client = await sidecar.ask(SEARCH)
        node = await sidecar.next_node()
        for _ in range(3):
            await read_request(node)
            await node.send(search_answer())
            head, body = await read_answer(client)
            assert b"\r\nX-Rescore: failed; reason=%s; plan=docs" % reason.encode() in head
            assert body.count(b'"_id"') == 2
            assert body.index(b'"_id": "0"') < body.index(b'"_id": "1"')
            await client.send(SEARCH)
        await read_request(node)
        await node.send(search_answer())
        await read_answer(client)
        assert upstream.none_waits


async def test_a_model_that_hangs_costs_the_deadline_and_no_more(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    model = StuckModel()
    async with before(upstream, tmp_path, model, deadline_ms=200) as sidecar:
        try:
            client = await sidecar.ask(SEARCH)
            node = await sidecar.next_node()
            for _ in range(2):
                await read_request(node)
                await node.send(search_answer())
                head, body = await read_answer(client)
                assert b"\r\nX-Rescore: failed; reason=deadline; plan=docs" in head
                assert body.index(b'"_id": "0"') < body.index(b'"_id": "1"')
                await client.send(SEARCH)
            await read_request(node)
            # What the model says when it is let go is for nobody: there is one answer to each.
            model.let_go.set()
            await node.send(search_answer())
            assert b"\r\nX-Rescore: applied; " in (await read_answer(client))[0]
        finally:
            model.let_go.set()


@pytest.mark.parametrize("disk", ["full", "not writable"])
async def test_a_disk_that_takes_nothing_does_not_keep_the_sidecar_from_stopping(
    upstream: ScriptedUpstream, tmp_path: Path, disk: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cache"
    backend = FakeBiEncoder()
    store = PassageStore(backend.dimensions, 1 << 20, track_new=True)

    class Keeper(PassageKeeper):
        def close(self) -> None:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            if disk == "full":
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
            else:
                shutil.rmtree(folder)
                folder.write_text("a file, where a folder should be")
            try:
                super().close()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    keeper = Keeper(store, backend.identity, folder)
    scorer = BiEncoderScorer("words", backend, store, Metrics(), keeper)
    plans = {"docs": WORDS_FIRST}
    models = Models({"words": scorer})
    with running_sidecar(tmp_path, upstream.url, plans, {"docs": "docs"}, models) as running:
        sidecar = Before(running, upstream)
        await sidecar.learn_no_default()
        client = await sidecar.ask(SEARCH)
        node = await sidecar.next_node()
        await read_request(node)
        await node.send(search_answer())
        assert b"X-Rescore: applied; " in (await read_answer(client))[0]
        await sidecar.settle()
        caplog.clear()
    assert "passage vectors were not saved" in caplog.text
    # What is left behind, if anything, does not harm the next start.
    empty = PassageStore(backend.dimensions, 1 << 20)
    load_passages(empty, backend.identity, folder)
    assert len(empty) == 0
