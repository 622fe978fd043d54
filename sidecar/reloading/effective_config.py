"""A configuration as flat keys and values, without secrets, and its digest.

Keys are written as in messages: `routes[0].plan`, `plans.fused.deadline_ms`. Defaults are included,
so two configurations with the same meaning are equal. Secrets are not in the values, and so not in
the digest: two sidecars with the same configuration and other passwords have the same digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from sidecar.config.main_file import Address, Config
from sidecar.config_reading.yaml_files import YamlPath, write_path
from sidecar.models.sources import list_files

SECRET: Final = "(secret)"  # noqa: S105
_DIGEST_CHARACTERS: Final = 16

_CERTIFICATES: Final = (
    ("listen_tls", "certificate_file"),
    ("api_tls", "certificate_file"),
    ("upstream", "tls", "ca_file"),
)
_KEYS: Final = (("listen_tls", "key_file"), ("api_tls", "key_file"))


@dataclass(frozen=True)
class EffectiveConfig:
    """Values by key, as JSON has them. `hidden` has a value for each thing that is only compared:
    secrets, the content of TLS keys, the files of models. It never leaves the process."""

    values: Mapping[str, Any]
    hidden: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal characters; equal for equal values."""
        text = json.dumps(self.values, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def describe_config(config: Config, folder: Path) -> EffectiveConfig:
    """The configuration of a main file in `folder`. Reads the certificates that it names."""
    values: dict[str, Any] = {}
    hidden: dict[str, Any] = {}
    for place, value in _walk(config.main, ()):
        _note(place, value, values, hidden)
    for name, plan in config.plans.items():
        for place, value in _walk(plan, ("plans", name)):
            _note(place, value, values, hidden)
    for place in _CERTIFICATES:
        key = write_path(place)
        if (digest := _digest_file(folder, values.get(key))) is not None:
            values[key] = f"{values[key]} (sha256 {digest[:_DIGEST_CHARACTERS]})"
    for place in _KEYS:
        key = write_path(place)
        hidden[key] = _digest_file(folder, values.get(key))
    for name, model in config.main.models.items():
        hidden[write_path(("models", name, "source"))] = list_files(model, folder)
    return EffectiveConfig(values, hidden)


@dataclass(frozen=True, slots=True)
class _Secret:
    value: Any


def _note(place: YamlPath, value: Any, values: dict[str, Any], hidden: dict[str, Any]) -> None:
    key = write_path(place)
    if isinstance(value, _Secret):
        hidden[key] = value.value
        values[key] = SECRET
    else:
        values[key] = value


def _walk(value: Any, place: YamlPath) -> Iterator[tuple[YamlPath, Any]]:
    """Every value that has no parts, with its place."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            inner = getattr(value, name)
            if not field.repr and inner:
                yield (*place, name), _Secret(_plain(inner))
            else:
                yield from _walk(inner, (*place, name))
    elif isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _walk(inner, (*place, str(name)))
    elif isinstance(value, tuple | list) and any(isinstance(item, BaseModel) for item in value):
        for position, inner in enumerate(value):
            yield from _walk(inner, (*place, position))
    else:
        yield place, _plain(value)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value))
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _digest_file(folder: Path, name: Any) -> str | None:
    if not isinstance(name, str):
        return None
    try:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except OSError:
        return None
