"""The flat form of a configuration: no secret is in it, and its digest is stable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.plan import Plan
from sidecar.config.main_file import Config, MainFile
from sidecar.reloading.differences import find_changes
from sidecar.reloading.effective_config import EffectiveConfig, describe_config

PLAN = {"document": {"body": "body"}, "stages": [{"model": "words"}]}


def described(folder: Path, plan: dict[str, Any] | None = None, **keys: Any) -> EffectiveConfig:
    main = MainFile.model_validate({"upstream": {"urls": ["http://node:9200"]}, **keys})
    return describe_config(Config(main, {"fused": Plan.model_validate(plan or PLAN)}), folder)


def with_secrets(word: str) -> dict[str, Any]:
    return {
        "upstream": {"urls": ["http://node:9200"], "username": "u", "password": word * 9},
        "apis": {"rerank": {"bearer": {"keys": {"shop": word * 40}}}},
    }


def test_secrets_are_compared_but_not_shown(tmp_path: Path) -> None:
    old, new = (described(tmp_path, **with_secrets(word)) for word in "ab")
    assert old.digest == new.digest
    assert "aaaaaaaaa" not in repr(old.values)
    changes = find_changes(old, new)
    assert [(change.key, change.needs_restart) for change in changes] == [
        ("apis.rerank.bearer.keys", False),
        ("upstream.password", False),
    ]
    assert "aaaaaaaaa" not in "".join(map(str, changes))


def test_what_is_left_out_and_its_default_are_the_same(tmp_path: Path) -> None:
    plain, explicit = described(tmp_path), described(tmp_path, listen="127.0.0.1:9201")
    assert plain == explicit
    assert plain.digest == explicit.digest
    assert plain.values["listen"] == "127.0.0.1:9201"
    assert plain.values["plans.fused.stages[0].model"] == "words"


def test_the_content_of_certificates_counts(tmp_path: Path) -> None:
    tls = {"certificate_file": "c.pem", "key_file": "k.pem"}
    seen = []
    for word in ("one", "two"):
        (tmp_path / "c.pem").write_text(word)
        (tmp_path / "k.pem").write_text(word)
        seen.append(described(tmp_path, listen_tls=tls))
    keys = [change.key for change in find_changes(*seen)]
    assert keys == ["listen_tls.certificate_file", "listen_tls.key_file"]
    assert seen[0].digest != seen[1].digest
