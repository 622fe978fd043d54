"""The shared store's client: TLS, accounts, and what `check` says about the section."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config.passage_store import PassageStoreSettings
from sidecar.config_reading.config_files import ConfigError, read_config
from sidecar.models.shared_store.connecting import open_shared_client
from tests.nodes.certificates import make_certificates
from tests.nodes.java import NotInstalled
from tests.valkey_server import running_valkey

ACCOUNT = "user sidecar on >secret ~rs1:* resetchannels -@all +mget +set +client|setname"
ACCOUNT_AS_OPTION = ACCOUNT.split()


def check(tmp_path: Path, section: dict[str, Any]) -> None:
    main = {"upstream": {"urls": ["http://127.0.0.1:9200"]}, "passage_store": section}
    (tmp_path / "plans").mkdir(exist_ok=True)
    (tmp_path / "sidecar.yaml").write_text(yaml.safe_dump(main))
    read_config(tmp_path / "sidecar.yaml", {})


def test_tls_and_an_account_with_the_rights_that_are_needed(tmp_path: Path) -> None:
    valkey = pytest.importorskip("valkey")
    certificates = tmp_path / "tls"
    certificates.mkdir()
    try:
        make_certificates(certificates, ["server"])
    except NotInstalled as missing:
        pytest.skip(str(missing))
    options = (
        *("--tls-cert-file", "tls/server.pem", "--tls-key-file", "tls/server.key"),
        *("--tls-ca-cert-file", "tls/ca.pem", "--tls-auth-clients", "no"),
        *("--user", *ACCOUNT_AS_OPTION[1:], "--user", "default", "off"),
    )
    with running_valkey(tmp_path, options, tls=True) as server:
        keys = {
            "url": server.url,
            "username": "sidecar",
            "password": "secret",
            "ca_file": "tls/ca.pem",
        }

        def try_it(**other: Any) -> Any:
            settings = PassageStoreSettings(**{**keys, **other})
            with open_shared_client(settings, tmp_path) as client:
                client.set(b"rs1:x", b"1", ex=60, nx=True)
                return client.mget([b"rs1:x", b"rs1:y"])

        assert try_it() == [b"1", None]
        for wrong in ({"password": "wrong"}, {"ca_file": None}, {"username": None}):
            with pytest.raises(valkey.exceptions.ConnectionError):
                try_it(**wrong)
        with open_shared_client(PassageStoreSettings(**keys), tmp_path) as client:
            with pytest.raises(valkey.exceptions.ResponseError):
                client.flushall()
            with pytest.raises(valkey.exceptions.ResponseError):
                client.mget([b"other"])


def test_every_mistake_of_the_section_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, {"url": "http://x", "timeout_ms": 0, "ttl_days": "long", "tls": True})
    text = str(caught.value)
    for key in ("url", "timeout_ms", "ttl_days", "tls"):
        assert f"passage_store.{key}" in text


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"ttl_days": 3, "ca_file": "x"}, "without url, ca_file, ttl_days has no use"),
        ({"url": "redis://host", "username": "a"}, "username needs a password"),
        ({"url": "redis://host", "ca_file": "x"}, "ca_file is for rediss://"),
        ({"url": "redis://host:70000"}, "between 1 and 65535"),
        (
            {"url": "redis://a:b@host"},
            "passage_store.url: write the account as username and password",
        ),
        ({"url": "rediss://host", "ca_file": "none.pem"}, "none.pem cannot be used"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, section: dict[str, Any], reason: str
) -> None:
    pytest.importorskip("valkey")
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, section)
    assert reason in str(caught.value)
    assert "a:b@" not in str(caught.value)


def test_without_the_library_check_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def find_others(name: str, package: str | None = None) -> Any:
        return None if name == "valkey" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
    with pytest.raises(ConfigError, match=r"pip install 'rescore-sidecar\[valkey\]'"):
        check(tmp_path, {"url": "redis://127.0.0.1:6379"})
    check(tmp_path, {"memory_mb": 17})
