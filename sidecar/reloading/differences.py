"""What differs between two configurations, and which keys a reload cannot change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sidecar.reloading.effective_config import SECRET, EffectiveConfig

RESTART_KEYS: Final = (
    *("workers", "listen", "api_listen", "reload", "plans_folder", "split_documents_mb"),
    *("passage_store.memory_mb", "passage_store.folder", "passage_store.url"),
    *("passage_store.username", "passage_store.password", "passage_store.ca_file"),
    *("passage_store.timeout_ms", "passage_store.ttl_days", "kendra_plugin_settings_file"),
    *("log.format", "log.level", "upstream.resign"),
    *("apis.rerank.usage_file", "apis.kendra_ranking.store_file"),
)
"""Keys that are used once, when the process starts: sockets, memory and files that stay open."""

_TLS: Final = ("listen_tls", "api_tls")
"""A certificate may change, but TLS stays on or off."""

_LONGEST: Final = 60

_NOTHING: Final = "null"

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key with another value. `needs_restart`: a reload cannot change it."""

    key: str
    kind: Kind
    old: str
    new: str
    needs_restart: bool

    def __str__(self) -> str:
        old, new = shorten(self.old), shorten(self.new)
        values = {"added": new, "removed": old, "changed": f"{old} -> {new}"}[self.kind]
        return f"{self.kind:8} {self.key}: {values}{'; needs a restart' * self.needs_restart}"


def find_changes(old: EffectiveConfig, new: EffectiveConfig) -> list[KeyChange]:
    """The changes by key, in the order of the keys."""
    changes = []
    for key in sorted({*old.values, *new.values, *old.hidden, *new.hidden}):
        before, after = _show(old.values, key), _show(new.values, key)
        hidden_changed = (
            key in old.hidden and key in new.hidden and (old.hidden[key] != new.hidden[key])
        )
        if before == after and not hidden_changed:
            continue
        kind: Kind = "changed"
        if before is None or after is None:
            kind = "added" if before is None else "removed"
            if _NOTHING in (before, after):
                continue
        elif before == after:
            after = f"{after} with other content" if after != SECRET else "another secret"
        restart = _needs_restart(old.values, new.values, key, kind)
        changes.append(KeyChange(key, kind, before or "", after or "", restart))
    return changes


def _needs_restart(old: Mapping[str, Any], new: Mapping[str, Any], key: str, kind: Kind) -> bool:
    if key.split(".")[0] in _TLS:
        return kind != "changed"
    if not any(key == name or key.startswith(f"{name}.") for name in RESTART_KEYS):
        return False
    # A door that begins or ends opens or closes its file.
    return not key.startswith("apis.") or kind == "changed"


def _show(values: Mapping[str, Any], key: str) -> str | None:
    """A value in one line; None if there is none."""
    if key not in values:
        return None
    value = values[key]
    return SECRET if value == SECRET else json.dumps(value, ensure_ascii=False)


def shorten(text: str) -> str:
    """At most 60 characters of a value."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
