"""`sidecar init` on real clusters: what it proposes, writes and refuses."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch, helpers

from sidecar.cli import main
from sidecar.config_reading.config_files import read_config
from tests.nodes.node import Node
from tests.nodes.secure import SecureNode

PROSE = (
    "Report {n} says that the pilot climbs aboard at the outer buoy and guides the ship past the"
    " sand bars, while the crew prepares ropes and fenders for the quay wall of the old town."
)
GENRES = ("Comedy", "Adventure", "Science Fiction")
PEOPLE = ("Ada Field", "Bo Meadow", "Cy Forest", "Di Hill")
PAPERS = [
    {"doi": f"10.1000/{n}", "title": f"Ships of the port, part {n}", "abstract": PROSE.format(n=n)}
    for n in range(30)
]
FILMS = [
    {
        "title": f"The Ship {n}",
        "overview": PROSE.format(n=n),
        "genres": [GENRES[n % 3], GENRES[(n + 1) % 3]],
        "first_genre": GENRES[n % 3],
        "director": PEOPLE[n % 4],
        "rating": n / 3,
        "released": f"2020-01-{n + 1:02}",
        "link": f"https://example.org/films/{n}",
    }
    for n in range(30)
]
PRODUCTS = [
    {
        "sku": f"SH-{n:04}",
        "product_name": f"Acme ship's bell number {n}, polished brass",
        "brand": {"name": ("Acme Tools", "Northern Works")[n % 2]},
        "price": 12.5,
        "vector": [0.1, 0.2, n / 30],
    }
    for n in range(30)
]
NOTES = [
    {
        "title": f"Note {n} on programming ships",
        "text": PROSE.format(n=n) if n % 2 else "",
        "issue": f"Magazine {('March', 'April')[n % 2]}, {1960 + n}",
    }
    for n in range(30)
]
EVENTS = [
    {
        "@timestamp": f"2024-01-01T00:00:{n:02}Z",
        "message": f"the pump {n} lost pressure and stopped",
    }
    for n in range(30)
]
PRODUCTS_MAPPING = {
    "properties": {
        "sku": {"type": "keyword"},
        "product_name": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        "brand": {"properties": {"name": {"type": "keyword"}}},
        "vector": {"type": "float", "index": False},
    }
}
NAMES = "initpapers,initfilms,initshop*,initnotes-*,initevents,initcodes,initempty,initclosed"


def fill(
    client: OpenSearch, index: str, documents: list[dict[str, Any]], kind: str = "index"
) -> None:
    actions = [{"_op_type": kind, "_index": index, "_source": each} for each in documents]
    helpers.bulk(client, actions, refresh=True)


@pytest.fixture(scope="module")
def filled(opensearch_3: Node) -> Iterator[Node]:
    with OpenSearch(opensearch_3.url) as client:
        fill(client, "initpapers", PAPERS)
        fill(client, "initfilms", FILMS)
        client.indices.create(index="initshop_v2", body={"mappings": PRODUCTS_MAPPING})
        fill(client, "initshop_v2", PRODUCTS)
        client.indices.put_alias(index="initshop_v2", name="initshop")
        fill(client, "initnotes-2024.01", NOTES[:15])
        fill(client, "initnotes-2024.02", NOTES[15:])
        template = {"index_patterns": ["initevents"], "data_stream": {}}
        client.indices.put_index_template(name="initevents", body=template)
        fill(client, "initevents", EVENTS, "create")
        fill(client, "initcodes", [{"host": f"node{n}", "code": f"E{n}"} for n in range(30)])
        client.indices.create(index="initempty", body={"mappings": PRODUCTS_MAPPING})
        client.indices.create(index="initclosed")
        client.indices.close(index="initclosed")
        try:
            yield opensearch_3
        finally:
            client.indices.delete_data_stream(name="initevents")
            client.indices.delete_index_template(name="initevents")
            client.indices.delete(index="init*", expand_wildcards="all")


def init(url: str, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
    without = {"OPENSEARCH_PASSWORD": None}
    done = CliRunner().invoke(
        main, ["init", "--upstream", url, *arguments], env={**without, **(env or {})}
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_kinds_of_indexes_get_plans_that_check_accepts(filled: Node, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    done = init(filled.url, "--index", NAMES, "--folder", str(folder))
    assert done.exit_code == 0, done.stderr
    config = read_config(folder / "sidecar.yaml", {})
    assert {route.index: route.plan for route in config.main.routes} == {
        "initevents": "initevents",
        "initfilms": "initfilms",
        "initnotes-*": "initnotes",
        "initpapers": "initpapers",
        "initshop": "initshop",
        "initshop_v2": "initshop",
    }
    documents = {
        name: (
            [field.field for field in plan.document.title],
            [(field.field, field.label) for field in plan.document.body],
        )
        for name, plan in config.plans.items()
    }
    assert documents == {
        "initevents": ([], [("message", None)]),
        "initfilms": (
            ["title"],
            [("director", "Director"), ("genres", "Genres"), ("overview", None)],
        ),
        "initnotes": (["title"], [("text", None)]),
        "initpapers": (["title"], [("abstract", None)]),
        "initshop": (["product_name"], [("brand.name", "Brand")]),
    }
    assert {plan.rescore_window for plan in config.plans.values()} == {100}
    films = (folder / "plans" / "initfilms.yaml").read_text()
    assert "# yaml-language-server: $schema=../plan.schema.json" in films
    assert "- overview  # median 35 words, in 100% of 30 documents" in films
    assert "#   first_genre: its values are in genres too" in films
    assert "#   link: addresses (URLs, paths or e-mail)" in films
    assert "passages a second" in films
    for reason in (
        "initcodes: no field has text to read (",
        "initempty: it has no documents with text yet",
        "initclosed: closed; open it first",
    ):
        assert reason in done.stdout
        assert reason in (folder / "sidecar.yaml").read_text()
    for name in ("main", "plan"):
        assert "$schema" in json.loads((folder / f"{name}.schema.json").read_text())
    # The commands that it names, as a person would copy them.
    assert f"sidecar warm --config {folder}/sidecar.yaml --index 'initfilms'" in done.stdout
    assert f"sidecar serve --config {folder}/sidecar.yaml" in done.stdout
    [step] = [line for line in done.stdout.splitlines() if line.startswith("  sidecar check ")]
    checked = CliRunner().invoke(main, step.split()[1:])
    assert checked.exit_code == 0, checked.stderr


def test_nothing_is_overwritten(filled: Node, tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    plan = tmp_path / "plans" / "own.yaml"
    plan.write_text("description: mine\n")
    done = init(filled.url, "--index", "initfilms", "--no-measure", "--folder", str(tmp_path))
    assert done.exit_code == 2
    assert done.stderr == (
        f"nothing is overwritten, and there is {plan}; choose another --folder\n"
    )
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["own.yaml", "plans"]
    assert plan.read_text() == "description: mine\n"


def test_print_and_json_write_nothing(
    filled: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = init(filled.url, "--index", "initfilms", "--no-measure", "--print")
    assert printed.exit_code == 0
    assert "# ---- sidecar.yaml\n# yaml-language-server" in printed.stdout
    assert "# ---- plans/initfilms.yaml\n" in printed.stdout
    assert "the default; nothing was measured" in printed.stdout
    proposal = json.loads(init(filled.url, "--index", "initfilms", "--no-measure", "--json").stdout)
    assert proposal["plans"]["initfilms"]["document"] == {
        "title": "title",
        "body": [
            {"field": "director", "label": "Director"},
            {"field": "genres", "label": "Genres"},
            "overview",
        ],
    }
    assert proposal["kinds"][0]["documents"] == 30
    assert list(tmp_path.iterdir()) == []


def test_only_requests_that_read_are_sent(filled: Node, tmp_path: Path) -> None:
    before = _state(filled)
    assert init(filled.url, "--index", NAMES, "--no-measure", "--print").exit_code == 0
    assert _state(filled) == before


def _state(node: Node) -> Any:
    with OpenSearch(node.url) as client:
        stats = client.indices.stats(index="init*", metric="indexing,docs")
        return stats["_all"]["total"], client.cluster.state(metric="metadata")["metadata"][
            "indices"
        ]


def test_nothing_found_says_why(filled: Node) -> None:
    nowhere = init(filled.url, "--index", "nowhere", "--print")
    assert (nowhere.exit_code, nowhere.stdout) == (1, "")
    assert nowhere.stderr.splitlines()[-2:] == [
        f"{filled.url}: no suitable index among nowhere",
        "  nowhere: the cluster has no index, alias or data stream of this name",
    ]
    codes = init(filled.url, "--index", "initcodes", "--print")
    assert codes.exit_code == 1
    assert "initcodes: no field has text to read (code: codes or ids; host: codes" in codes.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "does not answer"),
        ("https://user:pw@127.0.0.1:9200", "use --username"),
        ("127.0.0.1:9200", "write it as http://HOST:PORT"),
    ],
)
def test_a_wrong_address_is_one_line(url: str, words: str) -> None:
    done = init(url, "--print")
    assert done.exit_code == 2
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "this is not OpenSearch"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "this is not OpenSearch"),
        (b"", "closed the connection"),
    ],
)
def test_something_else_that_listens_there_is_no_cluster(answer: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            # A client may try again when its connection is closed.
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = init(f"http://127.0.0.1:{server.getsockname()[1]}", "--print")
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert done.exit_code == 2
    assert words in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def secured(secure_3: SecureNode) -> Iterator[SecureNode]:
    for number, paper in enumerate(PAPERS):
        answer = secure_3.request(
            "admin", "PUT", f"/initsecure/_doc/{number}?refresh={str(number == 29).lower()}", paper
        )
        assert answer.status == 201
    yield secure_3
    secure_3.request("admin", "DELETE", "/initsecure")


def test_a_secured_cluster_without_a_password_in_the_files(
    secured: SecureNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--index", "initsecure", "--no-measure", "--folder", str(tmp_path / "mine"))
    account = ("--username", "admin", "--ca-file", str(secured.ca))
    password = {"OPENSEARCH_PASSWORD": secured.users["admin"]}
    done = init(secured.url, *arguments, *account, env=password)
    assert done.exit_code == 0, done.stderr
    written = "".join(path.read_text() for path in (tmp_path / "mine").rglob("*.yaml"))
    assert secured.users["admin"] not in written + done.stdout + done.stderr
    assert "password: ${OPENSEARCH_PASSWORD}" in written
    assert "export OPENSEARCH_PASSWORD" in done.stdout
    config = str(tmp_path / "mine" / "sidecar.yaml")
    monkeypatch.setenv("OPENSEARCH_PASSWORD", secured.users["admin"])
    checked = CliRunner().invoke(main, ["check", "--config", config, "--upstream"])
    assert checked.exit_code == 0, checked.stderr


@pytest.mark.parametrize(
    ("user", "password", "trust", "words"),
    [
        (None, None, "ca", "asks for an account (401); name one with --username"),
        ("admin", "wrong", "ca", "refuses the account admin (401)"),
        ("admin", None, "ca", "set its password in OPENSEARCH_PASSWORD"),
        ("admin", "admin-pw", None, "its certificate is not trusted; name the file"),
        ("alice", "alice-pw", "ca", "does not allow this to the account alice (403)"),
    ],
)
def test_a_refusal_says_what_to_do(
    secured: SecureNode, user: str | None, password: str | None, trust: str | None, words: str
) -> None:
    arguments = ["--print", "--no-measure", *(["--username", user] if user else [])]
    arguments += ["--ca-file", str(secured.ca)] if trust else []
    done = init(
        secured.url, *arguments, env={"OPENSEARCH_PASSWORD": password} if password else None
    )
    assert done.exit_code in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not password or password not in done.stderr


def test_insecure_accepts_any_certificate_and_says_so(secured: SecureNode) -> None:
    done = init(
        secured.url,
        *("--index", "initsecure", "--username", "admin", "--insecure", "--print", "--no-measure"),
        env={"OPENSEARCH_PASSWORD": "admin-pw"},
    )
    assert done.exit_code == 0, done.stderr
    assert "verify: false               # accepts any certificate" in done.stdout


def test_a_person_is_asked_for_the_password_which_is_not_shown(secured: SecureNode) -> None:
    command = [sys.executable, "-m", "sidecar", "init", "--upstream", secured.url, "--print"]
    command += ["--index", "initsecure", "--ca-file", str(secured.ca), "--no-measure"]
    environment = {name: v for name, v in os.environ.items() if name != "OPENSEARCH_PASSWORD"}
    person, terminal = os.openpty()
    with subprocess.Popen(
        [*command, "--username", "admin"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(terminal)
        shown = b""
        while b"Password of admin: " not in shown:
            shown += os.read(person, 1024)
        os.write(person, secured.users["admin"].encode() + b"\n")
        written, _ = process.communicate(timeout=60)
        with suppress(OSError):  # the other end is closed
            shown += os.read(person, 65536)
        os.close(person)
    assert process.returncode == 0, shown
    assert b"plan: initsecure" in written
    assert secured.users["admin"].encode() not in shown + written
