"""Changes of a configuration: their words, and which of them need a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidecar.config.main_file import MainFile
from sidecar.reloading.differences import RESTART_KEYS, find_changes
from tests.sidecar.reloading.test_effective_config import described

TLS = {"certificate_file": "c.pem", "key_file": "k.pem"}


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"window_cache_s": 0}, "changed  window_cache_s: 5.0 -> 0.0"),
        (
            {"listen": "127.0.0.1:1"},
            'changed  listen: "127.0.0.1:9201" -> "127.0.0.1:1"; needs a restart',
        ),
        (
            {"passage_store": {"memory_mb": 1}},
            "changed  passage_store.memory_mb: 256 -> 1; needs a restart",
        ),
        (
            {"routes": [{"index": "d*", "plan": "fused"}]},
            'added    routes[0].index: "d*"\nadded    routes[0].plan: "fused"\nremoved  routes: []',
        ),
    ],
)
def test_a_change_is_one_line(tmp_path: Path, keys: dict[str, Any], line: str) -> None:
    changes = find_changes(described(tmp_path), described(tmp_path, **keys))
    assert sorted(map(str, changes)) == sorted(line.split("\n"))


def test_tls_is_turned_on_and_off_by_a_restart(tmp_path: Path) -> None:
    plain, tls = described(tmp_path), described(tmp_path, api_tls=TLS)
    for pair in ((plain, tls), (tls, plain)):
        assert all(change.needs_restart for change in find_changes(*pair))
    other = described(tmp_path, api_tls={**TLS, "key_file": "other.pem"})
    assert [change.needs_restart for change in find_changes(tls, other)] == [False]


def test_keys_that_need_a_restart_exist(tmp_path: Path) -> None:
    values = described(tmp_path).values
    assert all(
        any(key == name or key.startswith(f"{name}.") for key in values) for name in RESTART_KEYS
    )
    assert MainFile.model_fields["reload"].default == "signal"
