"""Each key of the main file is either applied by a reload, or refused by it.

`keys.txt` has the decision for each: `live` or `restart`. A key that is new in the schema fails
here until it has a line. `*` stands for a name, `[]` for each item of a list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from pipelines.strict import Strict
from sidecar import app as application
from sidecar.app import Application
from sidecar.config.main_file import Config, MainFile
from sidecar.reloading.differences import find_changes
from sidecar.reloading.effective_config import EffectiveConfig

DECISIONS: dict[str, str] = {}
for line in Path(__file__).with_name("keys.txt").read_text(encoding="ascii").splitlines():
    decision, decided_key = line.split()
    DECISIONS[decided_key] = decision


def list_keys(kind: Any, place: str = "") -> Iterator[str]:
    """The keys of a schema that have no keys below them."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from list_keys(field.annotation, f"{place}.{name}".lstrip("."))
        return
    parts = get_args(kind)
    sections = [part for part in parts if has_keys(part)]
    suffix = {dict: ".*", tuple: "[]"}.get(get_origin(kind) or kind, "")
    plain = [part for part in parts if part not in sections and part is not type(None)]
    if not sections or (plain and not suffix):
        yield place
    for section in sections:
        yield from list_keys(section, place + suffix)


def has_keys(kind: Any) -> bool:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return True
    return any(map(has_keys, get_args(kind)))


def test_each_key_is_decided() -> None:
    assert sorted(set(list_keys(MainFile))) == sorted(DECISIONS)


@pytest.mark.parametrize("key", DECISIONS)
def test_a_change_of_the_key_is_applied_or_refused(key: str) -> None:
    key = key.replace("*", "name").replace("[]", "[0]")
    old, new = (EffectiveConfig({key: value}, {}) for value in (1, 2))
    [change] = find_changes(old, new)
    assert change.needs_restart == (DECISIONS[key_in_table(key)] == "restart")


def key_in_table(key: str) -> str:
    return next(name for name in DECISIONS if name.replace("*", "name").replace("[]", "[0]") == key)


# What the parts that all generations share may read, because a reload replaces it in them.
REPLACED = {
    *("MainFile.limits", "MainFile.upstream", "Upstream.urls"),
    *("Limits.body_timeout_ms", "Limits.api_unfinished_mb"),
    *("Limits.api_connections", "Limits.header_timeout_ms"),
}


class Reads:
    """Notes each key that is read while nothing of a generation is built."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self._building = 0

    @contextmanager
    def building(self) -> Iterator[None]:
        self._building += 1
        try:
            yield
        finally:
            self._building -= 1

    def within(self, build: Callable[..., Any]) -> Callable[..., Any]:
        def built(*arguments: Any, **keywords: Any) -> Any:
            with self.building():
                return build(*arguments, **keywords)

        return built

    def note(self, section: BaseModel, name: str) -> None:
        if not self._building and name in type(section).model_fields:
            self.keys.add(f"{type(section).__name__}.{name}")


async def test_what_is_read_only_at_the_start_needs_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a generation is built from is read anew by each reload, so the key is live."""
    reads = Reads()
    main = MainFile.model_validate(
        {
            "listen": "127.0.0.1:0",
            "api_listen": "127.0.0.1:0",
            "upstream": {"urls": ["http://127.0.0.1:9"]},
        }
    )
    for name in ("check_config", "build_parts", "build_serving"):
        monkeypatch.setattr(application, name, reads.within(getattr(application, name)))
    build_doors = reads.within(Application._build_doors)
    monkeypatch.setattr(Application, "_build_doors", build_doors)

    def read(section: Strict, name: str) -> Any:
        reads.note(section, name)
        return object.__getattribute__(section, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Strict, "__getattribute__", read, raising=False)
        app = Application(Config(main, {}), tmp_path)
        await app.start()
    await asyncio.wait_for(app.stop(0), 60)
    restart = tuple(key for key, decision in DECISIONS.items() if decision == "restart")
    only_at_the_start = {
        key.replace("MainFile.", "").replace("Upstream.", "upstream.")
        for key in reads.keys - REPLACED
    }
    wrong = {
        key
        for key in only_at_the_start
        if not any(f"{one}.".startswith(f"{key}.") for one in restart)
    }
    assert not wrong
    assert {"MainFile.listen", "MainFile.split_documents_mb", *REPLACED} <= reads.keys
