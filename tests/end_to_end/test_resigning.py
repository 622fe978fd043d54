"""`upstream.resign`: clients sign for the sidecar, and the sidecar signs for a managed OpenSearch.

The stand-in for the managed service verifies each signature with botocore's own code.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from opensearchpy import OpenSearch, Urllib3AWSV4SignerAuth

from sidecar.cluster_client import open_blocking_client
from sidecar.config.main_file import Upstream
from sidecar.config_reading.config_files import ConfigError, read_config
from tests.raw_http import RawResponse, send
from tests.running import Sidecar, running_sidecar
from tests.signed_domain import (
    APP,
    KEYS,
    OTHER,
    REGION,
    ROLE,
    TEMPORARY,
    Domain,
    domain,
    upstream_settings,
)

QUERY = {"query": {"match": {"body": "copper kettle"}}, "size": 2}


BY_KEY = {
    "keys": {
        APP.access_key: APP.access_key,
        OTHER.access_key: OTHER.access_key,
        TEMPORARY.access_key: {
            "secret_file": TEMPORARY.access_key,
            "session_token_file": "token",
        },
    }
}


@contextmanager
def resigning(folder: Path, service: str, clients: Any) -> Iterator[tuple[Sidecar, Domain]]:
    plan = {"deadline_ms": 20_000, "fusion": {"method": "replace"}}
    with domain(service) as state:
        upstream = upstream_settings(folder, state, clients)
        main = {"upstream": upstream}
        with running_sidecar(folder, "", {"words": plan}, {"docs": "words"}, main=main) as sidecar:
            yield sidecar, state


@pytest.fixture(scope="module", params=["es", "aoss"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Sidecar, Domain]]:
    with resigning(tmp_path_factory.mktemp(request.param), request.param, BY_KEY) as made:
        yield made


def write(
    both: tuple[Sidecar, Domain],
    method: str = "POST",
    target: str = "/docs/_search",
    body: bytes = json.dumps(QUERY).encode(),
    *,
    fields: Mapping[str, str] | None = None,
    credentials: Credentials = APP,
    service: str | None = None,
    region: str = REGION,
    age: timedelta = timedelta(0),
) -> list[bytes]:
    """The lines of a request as botocore signs it, then its body."""
    sidecar, state = both
    host = f"127.0.0.1:{sidecar.proxy.port}"
    headers = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest(), **(fields or {})}
    request = AWSRequest(method, f"http://{host}{target}", headers, body)
    auth = SigV4Auth(credentials, service or state.service, region)
    auth.add_auth(request)
    if age:
        # As botocore's `add_auth`, but at another time.
        request.headers.replace_header("X-Amz-Date", f"{datetime.now(UTC) - age:%Y%m%dT%H%M%SZ}")
        request.context["timestamp"] = request.headers["X-Amz-Date"]
        del request.headers["Authorization"]
        text = auth.string_to_sign(request, auth.canonical_request(request))
        auth._inject_signature_to_request(request, auth.signature(text, request))
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return [*(line.encode() for line in lines), body]


def exchange(sidecar: Sidecar, lines: list[bytes]) -> RawResponse:
    raw = b"\r\n".join([*lines[:-1], b"", lines[-1]])
    return send(sidecar.proxy.host, sidecar.proxy.port, raw)


def ids(answer: RawResponse) -> list[str]:
    return [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]


def expect_refusal(both: tuple[Sidecar, Domain], lines: list[bytes], name: str) -> None:
    sidecar, state = both
    before = len(state.accepted), state.refused
    answer = exchange(sidecar, lines)
    assert answer.status == 403
    assert answer.values("x-amzn-ErrorType") == [name]
    assert json.loads(answer.body)["__type"] == name
    for key in (*KEYS, ROLE):
        assert key.secret_key.encode() not in answer.raw
    assert (len(state.accepted), state.refused) == before


@pytest.mark.parametrize("credentials", [APP, TEMPORARY], ids=lambda key: str(key.access_key))
def test_a_signed_search_is_rescored(
    both: tuple[Sidecar, Domain], credentials: Credentials
) -> None:
    answer = exchange(both[0], write(both, credentials=credentials))
    assert answer.status == 200, answer.body
    assert answer.values("X-Rescore")[0].startswith("applied")
    assert ids(answer) == ["2", "0"]


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/docs/_count?q=copper%20kettle&pretty", None),
        ("/docs/_count?q=copper+kettle", "/docs/_count?q=copper%20kettle"),
        (
            "/docs/_count?q=a%2Bb&filter_path=count,_shards",
            "/docs/_count?q=a%2Bb&filter_path=count%2C_shards",
        ),
        ("/docs%2Cmore/_doc/a%2Fb%2525", None),
        ("/do*s,m%C3%BCll/_count", None),
        ("//docs/./_count", "/docs/_count"),
        ("/docs/x/../_count/", "/docs/_count/"),
    ],
)
def test_other_requests_are_signed_anew(
    both: tuple[Sidecar, Domain], target: str, sent: str | None
) -> None:
    sidecar, state = both
    for method, body in (("GET", b""), ("PUT", b'{"a": 1}')):
        answer = exchange(sidecar, write(both, method, target, body))
        assert answer.status == 200, answer.body
        assert state.accepted[-1][:2] == (method, sent or target)
        assert state.accepted[-1][3] == body


def tampered(lines: list[bytes], old: bytes, new: bytes) -> list[bytes]:
    assert any(old in line for line in lines)
    return [line.replace(old, new, 1) for line in lines]


def test_what_was_changed_on_the_way_is_refused(both: tuple[Sidecar, Domain]) -> None:
    wrong = "InvalidSignatureException"
    lines = write(both, target="/docs/_search?q=a%2Bb&x=1%3By=2&z=%FF")
    for old, new in (
        (b"copper", b"silver"),
        (b"/docs/", b"/dogs/"),
        (b"/docs/", b"/docs%2F/"),
        (b"a%2Bb", b"a+b"),
        (b"1%3By", b"1;y"),
        (b"%FF", b"%FE"),
        (b"&z=", b"&w="),
        (b"POST", b"PUT"),
        (b"Host: 127", b"Host: 128"),
    ):
        expect_refusal(both, tampered(lines, old, new), wrong)
    date = next(line for line in lines if line.lower().startswith(b"x-amz-date"))
    expect_refusal(both, [*lines[:-1], date, lines[-1]], "IncompleteSignature")
    expect_refusal(both, [*lines[:-1], b"X-Amz-Content-Sha256: " + b"0" * 64, lines[-1]], wrong)


def test_a_wrong_signer_is_refused(both: tuple[Sidecar, Domain]) -> None:
    forged = Credentials(APP.access_key, "guessed")
    unknown = Credentials("AKIAUNKNOWN", "x")
    wrong, no_token = "InvalidSignatureException", "InvalidClientTokenId"
    expect_refusal(both, write(both, credentials=forged), wrong)
    expect_refusal(both, write(both, credentials=unknown), no_token)
    expect_refusal(both, write(both, service="s3"), wrong)
    expect_refusal(both, write(both, region="us-east-1"), wrong)
    expect_refusal(both, write(both, age=timedelta(minutes=16)), "RequestExpired")
    expect_refusal(both, write(both, age=timedelta(minutes=-16)), "RequestExpired")
    assert exchange(both[0], write(both, age=timedelta(minutes=14))).status == 200
    without_token = Credentials(TEMPORARY.access_key, TEMPORARY.secret_key)
    expect_refusal(both, write(both, credentials=without_token), no_token)
    with_token = Credentials(APP.access_key, APP.secret_key, "some-token")
    expect_refusal(both, write(both, credentials=with_token), no_token)
    other_token = Credentials(TEMPORARY.access_key, TEMPORARY.secret_key, "other-token")
    expect_refusal(both, write(both, credentials=other_token), no_token)
    unsigned = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    expect_refusal(both, write(both, fields=unsigned), wrong)
    plain = [b"GET / HTTP/1.1", b"Host: x", b"Authorization: Basic YTpi", b""]
    expect_refusal(both, plain, "IncompleteSignature")
    expect_refusal(both, [b"GET / HTTP/1.1", b"Host: x", b""], "MissingAuthenticationToken")
    assert both[0].metric("relay_errors_total", reason="unverified_client") >= 10


def test_only_signed_fields_count(both: tuple[Sidecar, Domain]) -> None:
    sidecar, state = both
    added = [b"X-Rescore: off", b"X-Forwarded-For: 1.2.3.4", b"X-Rescore-Caller: AKIAOTHER"]
    lines = write(both)
    answer = exchange(sidecar, [*lines[:-1], *added, lines[-1]])
    assert answer.values("X-Rescore")[0].startswith("applied")
    assert "x-forwarded-for" not in state.accepted[-1][2]
    answer = exchange(sidecar, write(both, fields={"X-Rescore": "off", "X-Team": "a  b"}))
    assert answer.values("X-Rescore")[0].startswith("skipped; reason=off")
    assert state.accepted[-1][2]["x-team"].split() == ["a", "b"]


def test_a_connection_field_removes_nothing_of_the_signature(both: tuple[Sidecar, Domain]) -> None:
    lines = write(both, "PUT", "/docs/_doc/1", b"{}")
    names = b"Connection: authorization, x-amz-date, host, x-amz-content-sha256"
    assert exchange(both[0], [*lines[:-1], names, lines[-1]]).status == 200


def test_a_cached_window_is_for_the_callers_own_key(both: tuple[Sidecar, Domain]) -> None:
    sidecar, state = both
    first = json.dumps({**QUERY, "size": 1}).encode()
    second = json.dumps({**QUERY, "size": 1, "from": 1}).encode()
    exchange(sidecar, write(both, body=first))
    count = len(state.accepted)
    assert ids(exchange(sidecar, write(both, body=second))) == ["0"]
    assert len(state.accepted) == count  # out of the cached window
    exchange(sidecar, write(both, body=second, credentials=OTHER))
    # The question for the default pipeline is for the caller's own key too.
    assert [method for method, *_ in state.accepted[count:]] == ["GET", "POST"]


def test_chunks_and_expectations_are_signed_as_one_body(both: tuple[Sidecar, Domain]) -> None:
    sidecar, state = both
    lines = write(both, "POST", "/docs/_bulk", b'{"delete":{"_id":1}}\n')
    length, body = lines[-2], lines[-1]
    assert length.startswith(b"Content-Length")
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for expect in (b"100-continue", b"something"):
        fields = [b"Transfer-Encoding: chunked", b"Expect: " + expect]
        assert exchange(sidecar, [*lines[:-2], *fields, chunked]).status == 200
        assert state.accepted[-1][3] == body


def test_a_body_that_cannot_be_held_is_refused(both: tuple[Sidecar, Domain]) -> None:
    sidecar, state = both
    count = len(state.accepted)
    within = b'{"index":{}}\n{}\n' * 100_000
    assert exchange(sidecar, write(both, "POST", "/docs/_bulk", within)).status == 200
    assert state.accepted[-1][3] == within
    with socket.create_connection(sidecar.proxy, 30) as connection:
        lines = write(both, "POST", "/docs/_bulk", within * 2)
        connection.sendall(b"\r\n".join([*lines[:-1], b"", b""]))
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"upstream.resign.body_mb" in answer
    assert len(state.accepted) == count + 1


def test_opensearch_py_needs_only_another_address(both: tuple[Sidecar, Domain]) -> None:
    sidecar, state = both
    auth = Urllib3AWSV4SignerAuth(TEMPORARY, REGION, state.service)
    hosts = [{"host": "127.0.0.1", "port": sidecar.proxy.port}]
    with OpenSearch(hosts, http_auth=auth, max_retries=0) as client:
        answer = client.search(index="docs,a b", body=QUERY, params={"preference": "a b+c"})
        assert len(answer["hits"]["hits"]) == 2
        answer = client.search(index="docs", body=QUERY)
        assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["2", "0"]
        assert client.index(index="docs", id="a/b ü*", body={"body": "x"}) == {"ok": True}
    assert state.accepted[-1][1].startswith("/docs/_doc/a%2Fb%20%C3%BC")


def test_the_sidecars_own_calls_are_signed(both: tuple[Sidecar, Domain], tmp_path: Path) -> None:
    state = both[1]
    upstream = Upstream(**upstream_settings(tmp_path, state, {"accept": "loopback"}))
    count = state.refused
    with open_blocking_client(upstream, tmp_path) as client:
        assert client.search(index="docs", body=QUERY, params={"q": "x,y"})["hits"]["hits"]
    assert state.accepted[-1][1].startswith("/docs/_search")
    assert state.refused == count


def test_the_first_failure_of_the_fronts_forwards_nothing_unsigned(
    both: tuple[Sidecar, Domain], monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar, state = both
    count = state.refused

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setattr("sidecar.opensearch.front.SearchFront.takes", fail)
        assert ids(exchange(sidecar, write(both))) == ["0", "1"]
    with monkeypatch.context() as patch:
        patch.setattr("sidecar.resigning.signer.Signer.sign", fail)
        assert exchange(sidecar, write(both)).status == 500
    with monkeypatch.context() as patch:
        patch.setattr("sidecar.resigning.front.ResigningFront.takes", fail)
        assert exchange(sidecar, write(both)).status == 500
    assert state.refused == count


def test_loopback_needs_no_signature_but_is_not_for_browsers(tmp_path: Path) -> None:
    with resigning(tmp_path, "es", {"accept": "loopback"}) as (sidecar, state):
        body = json.dumps(QUERY).encode()
        lines = [b"POST /docs/_search HTTP/1.1", b"Host: x", b"Authorization: Basic YTpi"]
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
        assert ids(exchange(sidecar, [*lines, body])) == ["2", "0"]
        expect_refusal(
            (sidecar, state), [*lines, b"Origin: http://x", body], "AccessDeniedException"
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"credentials": {}}, "AWS_ACCESS_KEY_ID"),
        ({"credentials": {"profile": "none"}}, "has no profile none"),
        ({"credentials": {"profile": "roles"}}, "credentials.botocore: true"),
        ({"credentials": {"access_key_id": "AKIA"}}, "belong together"),
        ({"clients": {}}, "either keys, or accept: loopback"),
        ({"clients": {"keys": {"AKIA": "missing"}}}, "cannot be read"),
        ({"clients": {"keys": {"AKIA": "empty"}}}, "one line with the secret"),
        ({"clients": {"accept": "loopback"}}, "put listen on 127.0.0.1"),
        ({"region": "Paris"}, "region"),
    ],
)
def test_mistakes_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    profiles = "[good]\naws_access_key_id = A\naws_secret_access_key = B\n[roles]\nrole_arn = x\n"
    (tmp_path / "profiles").write_text(profiles)
    (tmp_path / "empty").write_text(" \n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "profiles"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    (tmp_path / "plans").mkdir()
    settings = upstream_settings(tmp_path, Domain("es", 1), BY_KEY)
    main: dict[str, Any] = {"listen": "0.0.0.0:9201", "upstream": settings}

    def mistakes() -> str:
        (tmp_path / "sidecar.yaml").write_text(json.dumps(main))
        with pytest.raises(ConfigError) as caught:
            read_config(tmp_path / "sidecar.yaml", {})
        return str(caught.value)

    settings["resign"] |= {"credentials": {"profile": "good"}}
    (tmp_path / "sidecar.yaml").write_text(json.dumps(main))
    read_config(tmp_path / "sidecar.yaml", {})
    settings["resign"] |= changes
    assert message in mistakes()


def test_urls_and_accounts_beside_it_are_refused() -> None:
    resign = {"region": REGION, "clients": {"accept": "loopback"}}
    urls = ["http://a:1", "http://b:1"]
    with pytest.raises(ValueError, match="one URL"):
        Upstream(urls=urls, resign=resign)
    with pytest.raises(ValueError, match="username has no use"):
        Upstream(urls=urls[:1], resign=resign, username="a", password="b")
