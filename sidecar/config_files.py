"""Configuration from its files: the main file, and one file a plan in the folder beside it.

Strict: unknown keys are refused, names that refer to something are checked, and every mistake
is reported at once as `file:line: path: message`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines.plan import Plan
from sidecar import config_kendra, config_kendra_ranking, config_rerank
from sidecar.config import NAME, Config, MainFile
from sidecar.models.sources import check_source
from sidecar.opensearch.plugin_ext import PLUGIN_PLAN
from sidecar.opensearch.plugin_settings_file import BadSettingsFile, check_settings_file
from sidecar.relay.tls import BadTlsFile, build_listener_context, build_upstream_context
from sidecar.yaml_files import Mistake, YamlFile, YamlPath, read_yaml

T = TypeVar("T", bound=BaseModel)


class ConfigError(Exception):
    """A configuration with mistakes; `str()` has one line for each."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read the main file and its plans; raises ConfigError with every mistake in any of them."""
    main_yaml = read_yaml(path, environment)
    main = _check(MainFile, main_yaml)
    files = [main_yaml]
    plans: dict[str, Plan | None] = {}
    # A broken main file still names a folder, usually: its plans' mistakes are told as well.
    folder = path.parent / _plans_folder(main_yaml)
    if folder.is_dir():
        for file in sorted(folder.iterdir()):
            if file.suffix not in (".yaml", ".yml") or file.name.startswith("."):
                continue
            plan_yaml = read_yaml(file, environment)
            files.append(plan_yaml)
            if not re.fullmatch(NAME, file.stem):
                plan_yaml.mistake((), "a plan's file name is letters, digits and . _ - only")
            if file.stem in plans:
                plan_yaml.mistake((), f"there is another file for the plan {file.stem}")
            plans[file.stem] = plan = _check(Plan, plan_yaml)
            if main and plan:
                _check_models(plan, main, plan_yaml)
    elif main:
        main_yaml.mistake(("plans",), f"there is no folder {folder}")
    if main:
        _check_addresses(main, main_yaml)
        _check_tls(main, path.parent, main_yaml)
        _check_sources(main, path.parent, main_yaml)
        _check_routes(main, plans, main_yaml)
        _check_apis(main, plans, main_yaml)
        _check_plugin_settings(main, plans, path.parent, main_yaml)
    mistakes = [mistake for file in files for mistake in file.mistakes]
    if mistakes or main is None:
        raise ConfigError(mistakes)
    return Config(main, {name: plan for name, plan in plans.items() if plan})


def _plans_folder(main_yaml: YamlFile) -> str:
    named = main_yaml.data.get("plans") if main_yaml.data else None
    default = MainFile.model_fields["plans"].default
    return named if isinstance(named, str) and named else str(default)


def _check(model: type[T], read: YamlFile) -> T | None:
    """The file's data as the type, or None after its mistakes have been noted."""
    if read.data is None:
        return None
    try:
        return model.model_validate(read.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        for detail in details:
            # A list whose items are wrong is also told to be too short; the items say enough.
            place = detail["loc"]
            inside = any(
                other["loc"][: len(place)] == place for other in details if other != detail
            )
            if not (detail["type"] == "too_short" and inside):
                read.mistake(place, _explain(model, detail))
        return None


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    """Pydantic's error in the words of someone who edits the file."""
    kind, found = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        known = sorted(_keys_at(model, detail["loc"][:-1]))
        close = get_close_matches(str(detail["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"unknown key; {hint}"
    if kind == "missing":
        return "is required"
    if kind == "literal_error":
        return f"must be {detail['ctx']['expected']}, not {_show(found)}"
    if kind in ("value_error", "assertion_error"):
        return detail["msg"].split(", ", 1)[-1]
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"must be a mapping of keys to values, not {_show(found)}"
    if kind == "too_short":
        return f"needs at least {detail['ctx']['min_length']} entry"
    if kind in ("tuple_type", "list_type"):
        return f"must be a list, not {_show(found)}"
    message = detail["msg"].replace("Input should", "should").replace("Tuple should", "should")
    return f"{message}, not {_show(found)}" if not isinstance(found, (dict, list)) else message


def _show(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys_at(model: type[BaseModel], path: YamlPath) -> set[str]:
    """The keys that the type knows at a path: through lists and through mappings by name."""
    annotation: Any = model
    for part in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
            if NoneType in get_args(annotation):
                annotation = get_args(annotation)[0]
        else:
            # A list's or a mapping's element: the part is its position or name.
            annotation = next(
                arg
                for arg in reversed(get_args(annotation))
                if isinstance(arg, type) and issubclass(arg, BaseModel)
            )
    return set(annotation.model_fields)


def _check_models(plan: Plan, main: MainFile, read: YamlFile) -> None:
    for number, stage in enumerate(plan.stages):
        if stage.model not in main.models:
            known = ", ".join(sorted(main.models)) or "none"
            read.mistake(
                ("stages", number, "model"),
                f"the main file has no model {stage.model} (it has: {known})",
            )


def _check_addresses(main: MainFile, read: YamlFile) -> None:
    if main.listen == main.api and main.listen.port:
        read.mistake(("api",), f"is the same address as listen, {main.listen}")
    for number, url in enumerate(main.upstream.urls):
        parts = urlsplit(url)
        if (parts.hostname, parts.port) == main.listen:
            read.mistake(("upstream", "urls", number), "is the sidecar's own listen address")


def _check_tls(main: MainFile, folder: Path, read: YamlFile) -> None:
    try:
        build_upstream_context(main.upstream, folder)
    except BadTlsFile as error:
        read.mistake(("upstream", "tls", error.key), str(error))
    for name, files in (("listen_tls", main.listen_tls), ("api_tls", main.api_tls)):
        try:
            build_listener_context(files, folder)
        except BadTlsFile as error:
            read.mistake((name, error.key), str(error))


def _check_sources(main: MainFile, folder: Path, read: YamlFile) -> None:
    for name, model in main.models.items():
        problem = check_source(model, folder)
        if problem:
            read.mistake(("models", name, "source"), problem)


def _check_routes(main: MainFile, plans: Mapping[str, Plan | None], read: YamlFile) -> None:
    for number, route in enumerate(main.routes):
        if route.plan not in plans:
            known = ", ".join(sorted(plans)) or "none"
            read.mistake(
                ("routes", number, "plan"), f"there is no plan {route.plan} (there are: {known})"
            )
        earlier = next((r for r in main.routes[:number] if r.matches(route.index)), None)
        if earlier:
            read.mistake(
                ("routes", number, "index"),
                f"is never reached: {earlier.index} above matches it already",
            )


def _check_plugin_settings(
    main: MainFile, plans: Mapping[str, Plan | None], folder: Path, read: YamlFile
) -> None:
    if main.kendra_plugin_settings is None:
        return
    place = ("kendra_plugin_settings",)
    if PLUGIN_PLAN not in plans:
        read.mistake(place, f"needs a plan {PLUGIN_PLAN}, which the searches of its indexes get")
    try:
        check_settings_file(folder / main.kendra_plugin_settings)
    except BadSettingsFile as error:
        read.mistake(place, str(error))


def _check_apis(main: MainFile, plans: Mapping[str, Plan | None], read: YamlFile) -> None:
    rerank, kendra_ranking = main.apis.rerank, main.apis.kendra_ranking
    kendra = main.apis.kendra
    open_to_all = {
        "rerank": rerank is not None and config_rerank.needs_loopback(rerank),
        "kendra_ranking": kendra_ranking is not None
        and config_kendra_ranking.needs_loopback(kendra_ranking),
        "kendra": kendra is not None and config_kendra.needs_loopback(kendra),
    }
    for name, is_open in open_to_all.items():
        if is_open and main.apis.asks_for(name) and not main.api.is_loopback:
            read.mistake(
                ("apis", name),
                f"has no keys, so everybody who reaches {main.api} could call it; "
                "configure keys, or put api on 127.0.0.1",
            )
    asked: list[tuple[YamlPath, str]] = [
        (("apis", name, "plan"), section.plan)
        for name, section in (("rerank", rerank), ("kendra_ranking", kendra_ranking))
        if section and section.plan and "plan" in section.model_fields_set
    ]
    if kendra and kendra.plan:
        asked.append((("apis", "kendra", "plan"), kendra.plan))
    for index_id, index in kendra.indexes.items() if kendra else ():
        if index.plan:
            asked.append((("apis", "kendra", "indexes", index_id, "plan"), index.plan))
    for place, plan in asked:
        if plan not in plans:
            known = ", ".join(sorted(plans)) or "none"
            read.mistake(place, f"there is no plan {plan} (there are: {known})")
    if kendra and not plans:
        read.mistake(("apis", "kendra"), "needs a plan, whose models rank the documents")
