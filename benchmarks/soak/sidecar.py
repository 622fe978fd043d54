"""The sidecar's process: its configurations, its reloads, what it uses of the system."""

from __future__ import annotations

import asyncio
import copy
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from benchmarks.serving import Serving
from benchmarks.soak.results import Results, Sample
from benchmarks.weights import SOURCE

INDEX: Final = "soak-texts"
MODELS: Final[dict[str, dict[str, Any]]] = {
    "minilm": {"kind": "bi-encoder", "source": SOURCE},
    "words": {"kind": "bi-encoder", "source": "words", "backend": "fake"},
}
"""`words` counts shared words, and leaves the processor to everything else."""

PLANS: Final[dict[str, Any]] = {
    "fused": {
        "rescore_window": 50,
        "deadline_ms": 5000,
        "document": {"title": "title", "body": "text"},
        "stages": [{"model": "model", "weight": 0.4}],
        "fusion": {"method": "additive", "lexical": 0.35, "stems": "english"},
    },
    "short": {
        "rescore_window": 20,
        "deadline_ms": 5000,
        "document": {"title": "title", "body": "text"},
        "stages": [{"model": "model"}],
        "fusion": {"method": "replace"},
    },
}
_RELOAD_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One configuration: the keys of the main file that differ, the plan of the index, its window,
    and how a reload to it ends."""

    name: str
    main: dict[str, Any]
    plan: str
    window: int
    outcome: str = "applied"
    second_model: bool = False


VARIANTS: Final = (
    Variant("fused, window of 30", {}, "fused", 30),
    Variant("short", {"window_cache_s": 2.0}, "short", 20),
    Variant("short, a second model", {}, "short", 20, second_model=True),
    Variant("a mistake", {"limits": {"nesting": 0}}, "fused", 50, "refused"),
    Variant("fused", {}, "fused", 50),
)
"""In the order of the reloads; the second model begins and ends in each round."""


class Watched:
    """A running sidecar whose configuration can be replaced."""

    def __init__(self, serving: Serving, folder: Path, session: aiohttp.ClientSession) -> None:
        self._serving = serving
        self._folder = folder
        self._session = session
        self._main: dict[str, Any] = yaml.safe_load((folder / "sidecar.yaml").read_text())
        # So that at rest no connection is left.
        self._main["upstream"]["idle_timeout_ms"] = 5000
        self.api = f"http://{self._main['api_listen']}"

    @property
    def url(self) -> str:
        """Where applications connect."""
        return self._serving.url

    async def reload(self, variant: Variant, results: Results) -> None:
        """Change the files, send SIGHUP, and wait until the reload has ended."""
        before = (await self._config_state())["last_reload"]
        main = copy.deepcopy(self._main) | variant.main
        if variant.second_model:
            main["models"] = {**main["models"], "second": main["models"]["model"]}
        main["routes"] = [{"index": INDEX, "plan": variant.plan}]
        plan = {**PLANS[variant.plan], "rescore_window": variant.window}
        self._write(self._folder / "plans" / f"{variant.plan}.yaml", plan)
        self._write(self._folder / "sidecar.yaml", main)
        os.kill(self._serving.pid, signal.SIGHUP)
        async with asyncio.timeout(_RELOAD_S):
            while (last := (await self._config_state())["last_reload"]) == before:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # it is in another process
        results.reloads[last["outcome"]] += 1
        if last["outcome"] != variant.outcome:
            results.faults[f"reload to {variant.name}: {last['outcome']}"] += 1

    async def sample(self, seconds: float) -> Sample:
        """What the process uses now."""
        process = Path(f"/proc/{self._serving.pid}")
        async with self._session.get(f"{self.api}/metrics") as answer:
            text = await answer.text()
        tasks = re.search(r"^loop_tasks (\S+)$", text, re.MULTILINE)
        assert tasks is not None
        return Sample(
            seconds,
            self._serving.memory_mb(),
            len(list((process / "fd").iterdir())),
            len(list((process / "task").iterdir())),
            int(float(tasks[1])),
        )

    async def _config_state(self) -> dict[str, Any]:
        async with self._session.get(f"{self.api}/readyz") as answer:
            state: dict[str, Any] = (await answer.json())["config"]
        return state

    @staticmethod
    def _write(path: Path, content: dict[str, Any]) -> None:
        new = path.with_name(".new")
        new.write_text(yaml.safe_dump(content))
        new.rename(path)
