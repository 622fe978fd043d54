"""Reloads of a real process while clients search: none is lost, none is served by a mixture."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar.cli import main as sidecar_command
from tests.nodes.certificates import make_certificates
from tests.reloads import Folder, Process, replace, search, serving
from tests.running import WORDS, request

HITS = [
    {"_index": "docs", "_id": "a", "_score": 3.0, "_source": {"title": "x", "body": "kettle"}},
    {"_index": "docs", "_id": "b", "_score": 2.0, "_source": {"title": "kettle", "body": "x"}},
    {"_index": "docs", "_id": "c", "_score": 1.0, "_source": {"title": "x", "body": "x"}},
]
# What each plan makes of the hits: its own order, and its own window in the header.
WHOLE = {("body", 30, "abc"), ("title", 40, "bac")}


class Cluster(BaseHTTPRequestHandler):
    """OpenSearch's place: every search finds the same three hits."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(
            {
                "took": 1,
                "timed_out": False,
                "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
                "hits": {
                    "total": {"value": 3, "relation": "eq"},
                    "max_score": 3.0,
                    "hits": HITS,
                },
            }
        )

    def do_GET(self) -> None:
        self._answer({"version": {"number": "3.8.0"}})

    def _answer(self, answer: object) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path, cluster: str) -> Folder:
    return Folder(tmp_path / "config", cluster)


@pytest.fixture(scope="module")
def started(
    tmp_path_factory: pytest.TempPathFactory, cluster: str
) -> Iterator[tuple[Folder, Process]]:
    """One process for many tests: a reload makes it what it was at its start."""
    folder = Folder(tmp_path_factory.mktemp("started") / "config", cluster)
    with serving(folder.path) as running:
        running.wait_until_ready()
        yield folder, running


@pytest.fixture
def running(started: tuple[Folder, Process]) -> tuple[Folder, Process]:
    folder, process = started
    folder.restore()
    process.hang_up("reload: applied", "reload: nothing has changed")
    return folder, process


def test_no_search_is_lost_or_served_by_a_mixture(running: tuple[Folder, Process]) -> None:
    folder, process = running
    end = threading.Event()
    counts = ('rescore_searches_total{plan="', 'rescore_config_reloads_total{outcome="applied"}')
    before = [process.metric(name) for name in counts]

    def search_on() -> list[tuple[str, int, str]]:
        client = http.client.HTTPConnection(*process.proxy, timeout=60)
        answers = [search(client)]
        while not end.is_set():
            answers.append(search(client))  # on one connection, which every reload leaves open
        client.close()
        return answers

    with ThreadPoolExecutor(4) as clients:
        searching = [clients.submit(search_on) for _ in range(4)]
        try:
            for number in range(10):
                folder.route_to("title" if number % 2 == 0 else "body")
                process.hang_up("reload: applied")
        finally:
            end.set()
        answers = [one for client in searching for one in client.result()]
    assert set(answers) == WHOLE
    after = [process.metric(name) for name in counts]
    assert [new - old for new, old in zip(after, before, strict=True)] == [len(answers), 10]


def test_a_changed_plan_applies_and_is_shown(running: tuple[Folder, Process]) -> None:
    folder, process = running
    before = process.ready()["config"]
    folder.write_plan("body", document={"body": "title"}, rescore_window=20)
    lines = process.hang_up("reload: applied")
    assert any(line.endswith("changed  plans.body.rescore_window: 30 -> 20\n") for line in lines)
    assert process.search() == ("body", 20, "bac")
    after = process.ready()["config"]
    assert after["digest"] != before["digest"]
    assert after["last_reload"]["outcome"] == "applied"
    process.hang_up("reload: nothing has changed")
    assert process.ready()["config"]["digest"] == after["digest"]
    text = f'rescore_config_info{{digest="{after["digest"]}"}} 1.0'
    assert text in request(process.api, "GET", "/metrics").body.decode()


def break_yaml(folder: Folder) -> None:
    replace(folder.path / "sidecar.yaml", "listen: [\n")


def leave_out_model(folder: Folder) -> None:
    model = {"kind": "cross-encoder", "source": "./not-there", "backend": "onnx"}
    folder.write(models={"words": WORDS, "other": model})


def break_certificate(folder: Folder) -> None:
    (folder.path / "cert.pem").write_text("no certificate")
    (folder.path / "key.pem").write_text("no key")
    folder.write(listen_tls={"certificate_file": "cert.pem", "key_file": "key.pem"})


def break_plan(folder: Folder) -> None:
    (folder.path / "plans" / "body.yaml").unlink()
    (folder.path / "plans" / "body.yaml").mkdir()


def remove_plan(folder: Folder) -> None:
    (folder.path / "plans" / "body.yaml").unlink()


def break_two(folder: Folder) -> None:
    folder.write(limits={"nesting": 0}, window_cache_s=-1)


def move_listener(folder: Folder) -> None:
    folder.route_to("title")
    folder.write(listen="127.0.0.1:1")


FAULTS: list[tuple[Callable[[Folder], None], list[str]]] = [
    (break_yaml, ["is not YAML"]),
    (leave_out_model, ["models.other.source: there is no folder"]),
    (break_certificate, ["listen_tls.certificate_file: ", "not a readable PEM file"]),
    (break_plan, ["plans/body.yaml: cannot be read: Is a directory"]),
    (remove_plan, ["routes[0].plan: there is no plan body (there are: title)"]),
    (break_two, ["limits.nesting: ", "window_cache_s: "]),
    (move_listener, ['listen: "127.0.0.1:0" -> "127.0.0.1:1"; needs a restart']),
]


def test_faults(running: tuple[Folder, Process]) -> None:
    folder, process = running
    before = process.ready()["config"]["digest"]
    for spoil, lines in FAULTS:
        spoil(folder)
        log = "".join(process.hang_up("the old configuration stays"))
        assert all(line in log for line in lines), (spoil.__name__, log)
        assert process.search() == ("body", 30, "abc"), spoil.__name__
        state = process.ready()
        assert state["ready"], spoil.__name__
        assert state["config"]["digest"] == before, spoil.__name__
        assert state["config"]["last_reload"]["outcome"] == "refused", spoil.__name__
        folder.restore()


def test_certificates_are_replaced_without_a_restart(folder: Folder, tmp_path: Path) -> None:
    def connect(address: tuple[str, int], name: str | None, authority: Path) -> bytes:
        """The certificate that a client gets who asks for this name; the client verifies it."""
        context = ssl.create_default_context(cafile=authority / "ca.pem")
        context.check_hostname = name is not None
        with (
            socket.create_connection(address, timeout=60) as plain,
            context.wrap_socket(plain, server_hostname=name) as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True) or b""

    def put(file: str, made: Path, name: str) -> None:
        replace(folder.path / file, (made / name).read_text())

    # Each has an authority of its own, so a client that trusts one refuses the other's certificate.
    one, two = tmp_path / "one", tmp_path / "two"
    for made in (one, two):
        made.mkdir()
        make_certificates(made, ["server"])
    put("cert.pem", one, "server.pem")
    put("key.pem", one, "server.key")
    tls = {"certificate_file": "cert.pem", "key_file": "key.pem"}
    folder.write(listen_tls=tls, api_tls=tls)
    with serving(folder.path) as process:
        process.wait_until_ready()
        # With a server name, with an address, which is not sent as a server name, and with neither.
        clients = [
            (address, name)
            for address in (process.proxy, process.api)
            for name in ("localhost", "127.0.0.1", None)
        ]
        first = {connect(*client, one) for client in clients}
        put("key.pem", two, "server.key")
        log = "".join(process.hang_up("the old configuration stays"))
        assert f"{folder.path / 'key.pem'} is not the key of" in log
        assert {connect(*client, one) for client in clients} == first
        put("cert.pem", two, "server.pem")
        compared = CliRunner().invoke(
            sidecar_command,
            [
                *("check", "--config", str(folder.path / "sidecar.yaml")),
                *("--diff", f"https://127.0.0.1:{process.api[1]}"),
            ],
        )
        assert compared.output.startswith("changed  api_tls.certificate_file:"), compared.output
        process.hang_up("reload: applied")
        second = {connect(*client, two) for client in clients}
        for client in clients:
            with pytest.raises(ssl.SSLCertVerificationError):
                connect(*client, one)
    assert len(first) == len(second) == 1


def test_signals_at_the_start_and_during_a_reload(folder: Folder) -> None:
    with serving(folder.path) as process:
        # Before it is ready, SIGHUP ends nothing.
        process.process.send_signal(signal.SIGHUP)
        process.wait_until_ready()
        process.wait_for("reload: nothing has changed")
        assert process.search() == ("body", 30, "abc")
        stop_during_a_reload(folder, process)


def stop_during_a_reload(folder: Folder, process: Process) -> None:
    fifo = folder.path / "plans" / "title.yaml"
    fifo.unlink()
    os.mkfifo(fifo)
    process.process.send_signal(signal.SIGHUP)
    with fifo.open("w") as writer:  # opens once the reload reads it
        process.process.send_signal(signal.SIGTERM)
        while True:
            try:
                socket.create_connection(process.proxy, timeout=5).close()
            except OSError:
                break
        writer.write("stages: [{model: words}]\n")
    assert process.process.wait(60) == 0


def test_a_swap_of_a_link_is_noticed(tmp_path: Path, cluster: str) -> None:
    """As Kubernetes replaces a ConfigMap: `..data` is a link, and all files are links into it."""
    for plan in ("body", "title"):
        one = Folder(tmp_path / f"..{plan}", cluster)
        one.write(reload="watch")
        one.route_to(plan)
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "..data").symlink_to(tmp_path / "..body")
    for name in ("sidecar.yaml", "plans"):
        (mounted / name).symlink_to(Path("..data") / name)
    with serving(mounted) as process:
        process.wait_until_ready()
        assert process.ready()["config"]["last_reload"] is None
        assert process.search() == ("body", 30, "abc")
        (mounted / "..new").symlink_to(tmp_path / "..title")
        (mounted / "..new").rename(mounted / "..data")
        process.wait_for("reload: applied")
        assert process.search() == ("title", 40, "bac")
