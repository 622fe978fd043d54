"""`/config`: for programs on this machine only, and without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.raw_http import send
from tests.running import request, running_sidecar


def test_only_programs_on_this_machine_read_it(tmp_path: Path) -> None:
    main = {"upstream": {"urls": ["http://127.0.0.1:9"], "username": "u", "password": "hush-hush"}}
    with running_sidecar(tmp_path, "http://127.0.0.1:9", {"fused": {}}, {}, main=main) as sidecar:
        answer = request(sidecar.api, "GET", "/config")
        for fields in (
            {"X-Forwarded-For": "10.0.0.1"},
            {"Origin": "http://a.example"},
            {"Via": "1.1 proxy"},
        ):
            assert request(sidecar.api, "GET", "/config", fields=fields).status == 403
        ready = json.loads(request(sidecar.api, "GET", "/readyz").body)
    assert answer.status == 200
    content = json.loads(answer.body)
    assert content["digest"] == ready["config"]["digest"]
    assert content["values"]["plans.fused.stages[0].model"] == "words"
    assert b"hush-hush" not in answer.body


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:80"])
def test_another_name_for_this_machine_is_refused(tmp_path: Path, host: str) -> None:
    with running_sidecar(tmp_path, "http://127.0.0.1:9", {"fused": {}}, {}) as sidecar:
        head = f"GET /config HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        assert send(sidecar.api.host, sidecar.api.port, head).status == 403
