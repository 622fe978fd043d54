"""Requests that may change the Kendra plugin's settings: what is sent, answered and stored."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.config.limits import Limits
from sidecar.kendra_plugin.settings import NOTHING_ELSE, PREFIX
from sidecar.kendra_plugin.settings_file import PluginSettingsFile
from sidecar.kendra_plugin.settings_front import (
    IndexCall,
    PluginSettingsFront,
    read_index_call,
)
from sidecar.relay.errors import UpstreamBroken, UpstreamError
from sidecar.relay.front import Answer, Forward, Request, Response, Take
from sidecar.relay.heads import RequestHead, parse_request_head, parse_response_head

WHOLE: dict[str, int | tuple[str, ...]] = {"order": 1, "properties.body_field": ("b",)}
BODY = json.dumps({"settings": {f"{PREFIX}order": 1, f"{PREFIX}properties.body_field": "b"}})
CHANGE = json.dumps({f"{PREFIX}properties.doc_limit": 30})


def response(status: int, body: bytes) -> Response:
    head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n" % status
    return Response(parse_response_head(head + b"content-length: %d\r\n\r\n" % len(body)), body)


OK = response(200, b'{"acknowledged":true}')
ITSELF = response(200, b'{"docs":{"settings":{"index":{"uuid":"u"}}}}')


class Cluster:
    """Gives the answers in turn and records the requests. Waits for `let_go` if it is set."""

    def __init__(self, *answers: Response | UpstreamError) -> None:
        self.sent: list[tuple[bytes, bytes]] = []
        self.asked = asyncio.Event()
        self.let_go: asyncio.Event | None = None
        self.answers = list(answers)

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        self.sent.append((head, body))
        self.asked.set()
        if self.let_go is not None:
            await self.let_go.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, UpstreamError):
            raise answer
        return answer


class Nobody:
    """The front behind, which takes no request."""

    def __init__(self) -> None:
        self.answers: list[tuple[bytes, int]] = []

    def answered(self, head: RequestHead, status: int) -> None:
        self.answers.append((head.target, status))

    def takes(self, head: RequestHead) -> Take | None:
        return None

    def too_large(self, head: RequestHead, key: str) -> Forward:
        return Forward()


@pytest.fixture
def settings_file(tmp_path: Path) -> PluginSettingsFile:
    return PluginSettingsFile(tmp_path / "settings.json")


def request(
    method: str, target: str, body: str | bytes = b"", fields: Sequence[str] = ()
) -> Request:
    content = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {target} HTTP/1.1", "Host: h"]
    if not any(field.startswith("Content-Type") for field in fields):
        lines.append("Content-Type: application/json")
    lines += [f"Content-Length: {len(content)}", *fields, "", ""]
    return Request(parse_request_head("\r\n".join(lines).encode()), content)


async def send(front: PluginSettingsFront, index_request: Request) -> Forward | Answer | None:
    take = front.takes(index_request.head)
    return None if take is None else await take(index_request)


def status(answer: Forward | Answer | None) -> int:
    assert isinstance(answer, Answer)
    return parse_response_head(answer.head).status


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PUT /docs", IndexCall("create", ("docs",))),
        ("PUT /docs/?pretty", IndexCall("create", ("docs",))),
        ("PUT /d%6Fcs", IndexCall("create", ("docs",))),
        ("PUT /.hidden", IndexCall("create", (".hidden",))),
        ("PUT /docs/_settings?master_timeout=1s", IndexCall("settings", ("docs",))),
        ("DELETE /docs", IndexCall("delete", ("docs",))),
        ("DELETE /a,b,a", IndexCall("delete", ("a", "b"))),
        ("PUT /a,b", None),
        ("PUT /a,b/_settings", None),
        ("PUT /doc*/_settings", None),
        ("PUT /_all/_settings", None),
        ("PUT /_settings", None),
        ("PUT /%3Cdocs-%7Bnow%7D%3E", None),
        ("PUT /docs%", None),
        ("PUT //docs", None),
        ("PUT /", None),
        ("PUT /docs#x", None),
        ("PUT /docs/_mapping", None),
        ("PUT /docs/_doc/1", None),
        ("PUT /docs/_settings/x", None),
        ("DELETE /docs*", None),
        ("DELETE /a,-b", None),
        ("DELETE /docs/_settings", None),
        ("DELETE /docs/_doc/1", None),
    ],
)
def test_which_requests_are_looked_at(line: str, expected: IndexCall | None) -> None:
    method, target = line.encode().split(b" ")
    assert read_index_call(method, target, 1000) == expected


async def test_a_creation_is_sent_without_them_and_they_are_kept(
    settings_file: PluginSettingsFile,
) -> None:
    cluster = Cluster(OK)
    index_request = request(
        "PUT", "/docs?pretty", BODY, ["Authorization: Basic x", "Expect: 100-continue"]
    )
    answer = await send(
        PluginSettingsFront(Nobody(), cluster, settings_file, Limits()), index_request
    )
    assert isinstance(answer, Answer)
    assert answer.body == OK.body
    head = b"PUT /docs?pretty HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    head += b"Authorization: Basic x\r\nContent-Length: 2\r\n\r\n"
    assert cluster.sent == [(head, b"{}")]
    assert settings_file.values("docs") == WHOLE


async def test_nothing_is_kept_of_what_the_cluster_refuses(
    settings_file: PluginSettingsFile,
) -> None:
    refused = response(403, b'{"status":403}')
    cluster = Cluster(refused, ITSELF, refused)
    front = PluginSettingsFront(Nobody(), cluster, settings_file, Limits())
    assert status(await send(front, request("PUT", "/docs", BODY))) == 403
    assert status(await send(front, request("PUT", "/docs/_settings", CHANGE))) == 403
    assert "docs" not in settings_file


async def test_a_change_is_merged_and_a_new_index_starts_anew(
    settings_file: PluginSettingsFile,
) -> None:
    await settings_file.store("docs", WHOLE)
    cluster = Cluster(ITSELF, OK, OK)
    front = PluginSettingsFront(Nobody(), cluster, settings_file, Limits())
    index_request = request("PUT", "/docs/_settings?timeout=1s", CHANGE, ["Authorization: Basic x"])
    assert status(await send(front, index_request)) == 200
    assert settings_file.values("docs") == {**WHOLE, "properties.doc_limit": 30}
    head = b"GET /docs/_settings/index.uuid HTTP/1.1\r\nHost: h\r\nAuthorization: Basic x\r\n"
    assert cluster.sent[0] == (head + b"Content-Length: 0\r\n\r\n", b"")
    assert cluster.sent[1][1] == NOTHING_ELSE

    assert status(await send(front, request("PUT", "/docs", "{}"))) == 200
    assert "docs" not in settings_file


@pytest.mark.parametrize(
    "answer",
    [
        response(200, b'{"real":{"settings":{"index":{"uuid":"u"}}}}'),
        response(404, b'{"status":404}'),
        response(403, b'{"status":403}'),
        response(200, b"docs:"),
        response(200, b"5"),
        UpstreamBroken("lost"),
    ],
)
async def test_a_change_goes_as_it_came_unless_the_name_is_an_index(
    settings_file: PluginSettingsFile, answer: Response | UpstreamError
) -> None:
    front = PluginSettingsFront(Nobody(), Cluster(answer), settings_file, Limits())
    assert await send(front, request("PUT", "/docs/_settings", CHANGE)) == Forward()
    assert "docs" not in settings_file


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/docs", ""),
        ("/docs", '{"settings":{"index":{"number_of_shards":1}}}'),
        ("/docs", '{"settings":{"' + PREFIX + 'unknown":1}}'),
        ("/docs/_settings", '{"index.refresh_interval":"1s"}'),
        ("/docs/_settings", '{"index.*":null}'),
        ("/docs/_settings?preserve_existing=true", CHANGE),
        ("/docs/_settings?%", CHANGE),
    ],
)
async def test_what_says_nothing_of_them_goes_as_it_came(
    settings_file: PluginSettingsFile, target: str, body: str
) -> None:
    front = PluginSettingsFront(Nobody(), Cluster(), settings_file, Limits())
    assert await send(front, request("PUT", target, body)) == Forward()


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Encoding: gzip"],
        ["Authorization: AWS4-HMAC-SHA256 Credential=x"],
        ["Content-Type: application/yaml"],
    ],
)
async def test_what_cannot_be_changed_goes_as_it_came(
    settings_file: PluginSettingsFile, fields: list[str]
) -> None:
    body = gzip.compress(BODY.encode()) if "gzip" in fields[0] else BODY.encode()
    front = PluginSettingsFront(Nobody(), Cluster(), settings_file, Limits())
    assert await send(front, request("PUT", "/docs", body, fields)) == Forward()

    # It is still a different index from the earlier one of that name.
    await settings_file.store("docs", WHOLE)
    cluster = Cluster(OK)
    front = PluginSettingsFront(Nobody(), cluster, settings_file, Limits())
    assert status(await send(front, request("PUT", "/docs", body, fields))) == 200
    assert cluster.sent[0][1] == body
    assert "docs" not in settings_file


async def test_a_pattern_ends_them_where_there_are_some(settings_file: PluginSettingsFile) -> None:
    await settings_file.store("docs", WHOLE)
    cluster = Cluster(ITSELF, OK)
    front = PluginSettingsFront(Nobody(), cluster, settings_file, Limits())
    body = '{"index.plugin.*": null, "index.refresh_interval": "1s"}'
    assert status(await send(front, request("PUT", "/docs/_settings", body))) == 200
    assert cluster.sent[1][1] == body.encode()
    assert "docs" not in settings_file


async def test_a_value_that_the_plugin_refuses_is_answered_as_opensearch_does(
    settings_file: PluginSettingsFile,
) -> None:
    front = PluginSettingsFront(Nobody(), Cluster(), settings_file, Limits())
    body = json.dumps({f"{PREFIX}properties.doc_limit": 3})
    answer = await send(front, request("PUT", "/docs/_settings", body))
    assert isinstance(answer, Answer)
    reason = "Setting the value of [doc_limit] below 25 will affect ranking accuracy"
    cause = {"type": "illegal_argument_exception", "reason": reason}
    assert json.loads(answer.body) == {"error": {"root_cause": [cause], **cause}, "status": 400}
    head = parse_response_head(answer.head)
    assert (head.status, head.framing) == (400, len(answer.body))


async def test_a_deletion_ends_them(settings_file: PluginSettingsFile) -> None:
    for index in ("docs", "more"):
        await settings_file.store(index, WHOLE)
    cluster = Cluster(response(404, b"{}"), OK)
    behind = Nobody()
    front = PluginSettingsFront(behind, cluster, settings_file, Limits())
    assert await send(front, request("DELETE", "/other")) is None
    assert status(await send(front, request("DELETE", "/docs"))) == 404
    assert behind.answers == [(b"/docs", 404)]
    assert "docs" in settings_file
    assert status(await send(front, request("DELETE", "/other,docs,more"))) == 200
    assert "docs" not in settings_file
    assert "more" not in settings_file


async def test_a_cluster_that_does_not_answer(settings_file: PluginSettingsFile) -> None:
    front = PluginSettingsFront(
        Nobody(), Cluster(UpstreamBroken("lost midway")), settings_file, Limits()
    )
    answer = await send(front, request("PUT", "/docs", BODY))
    assert status(answer) == 502
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["error"]["type"] == "upstream_broken"
    assert "docs" not in settings_file


async def test_a_client_that_goes_away_has_still_made_its_index(
    settings_file: PluginSettingsFile,
) -> None:
    cluster = Cluster(OK)
    cluster.let_go = asyncio.Event()
    front = PluginSettingsFront(Nobody(), cluster, settings_file, Limits())
    taking = asyncio.ensure_future(send(front, request("PUT", "/docs", BODY)))
    await cluster.asked.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    cluster.let_go.set()
    # A later request for the same index waits for it.
    take = front.takes(request("DELETE", "/docs").head)
    assert take is not None
    cluster.answers.append(response(404, b"{}"))
    assert status(await take(request("DELETE", "/docs"))) == 404
    assert settings_file.values("docs") == WHOLE


async def test_stopping_waits_for_nobody(settings_file: PluginSettingsFile) -> None:
    cluster = Cluster(OK)
    cluster.let_go = asyncio.Event()
    front = PluginSettingsFront(Nobody(), cluster, settings_file, Limits())
    taking = asyncio.ensure_future(send(front, request("PUT", "/docs", BODY)))
    await cluster.asked.wait()
    await front.stop()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert "docs" not in settings_file


async def test_requests_for_one_index_follow_one_another(settings_file: PluginSettingsFile) -> None:
    cluster = Cluster(OK, response(400, b"{}"), OK)
    cluster.let_go = asyncio.Event()
    front = PluginSettingsFront(Nobody(), cluster, settings_file, Limits())
    async with asyncio.TaskGroup() as group:
        first = group.create_task(send(front, request("PUT", "/docs", BODY)))
        await cluster.asked.wait()
        other = BODY.replace('"b"', '"other"')
        second = group.create_task(send(front, request("PUT", "/docs", other)))
        take = front.takes(request("DELETE", "/docs").head)
        assert take is not None, "it may get settings while the deletion is under way"
        assert len(cluster.sent) == 1
        cluster.let_go.set()
    assert (status(first.result()), status(second.result())) == (200, 400)
    assert len(cluster.sent) == 2
    assert settings_file.values("docs") == WHOLE


async def test_the_log_names_settings_and_no_values(
    settings_file: PluginSettingsFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    front = PluginSettingsFront(Nobody(), Cluster(OK, OK), settings_file, Limits())
    await send(front, request("PUT", "/docs", BODY))
    await send(front, request("PUT", "/more", BODY.replace(": 1,", ": 7,")))
    assert [record.getMessage() for record in caplog.records] == [
        "index docs has plugin settings: order, properties.body_field",
        "index more has plugin settings: order, properties.body_field; "
        "it is not rescored without order 1 and a body_field",
    ]


async def test_a_file_that_cannot_be_written_is_no_failed_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings_file = PluginSettingsFile(tmp_path / "gone" / "settings.json")
    front = PluginSettingsFront(Nobody(), Cluster(OK), settings_file, Limits())
    assert status(await send(front, request("PUT", "/docs", BODY))) == 200
    assert settings_file.values("docs") == WHOLE
    assert caplog.messages == [
        "the plugin settings of docs cannot be written to the file and will be lost when this "
        "process ends: No such file or directory"
    ]
