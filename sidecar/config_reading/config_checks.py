"""Checks of a configuration that no single value shows: names, addresses and files that it names.

Each check looks only at keys without mistakes of their own, so that one mistake does not cause
others, and mistakes between files are reported together with those within one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import ValidationError

from pipelines.plan import Plan
from sidecar.config.main_file import MainFile
from sidecar.config.routes import OFF, Route, is_off
from sidecar.config_reading.yaml_files import YamlFile, YamlPath
from sidecar.kendra_plugin.section import PLUGIN_PLAN
from sidecar.kendra_plugin.settings_file import BadSettingsFile, check_settings_file
from sidecar.models.remote.service_tls import check_service_tls
from sidecar.models.shared_store.connecting import find_shared_store_mistake
from sidecar.models.sources import check_source
from sidecar.relay.tls import BadTlsFile, build_listener_context, build_upstream_context
from sidecar.resigning.credentials import BadCredentials, find_client_secrets, find_credentials


class SoundPart(NamedTuple):
    """The keys of a main file that have no mistakes; the others have their defaults in `main`."""

    main: MainFile
    left_out: frozenset[str]

    def has(self, *keys: str) -> bool:
        """Whether all these keys are without mistakes."""
        return self.left_out.isdisjoint(keys)


def check_plan(plan_yaml: YamlFile, main_yaml: YamlFile) -> None:
    """Check that a plan's stages name models that the main file has."""
    models = _at(main_yaml.data, "models") if "models" in (main_yaml.data or ()) else {}
    if main_yaml.data is None or not isinstance(models, dict):
        return
    for number, stage in _items(_at(plan_yaml.data, "stages")):
        name = _at(stage, "model")
        if isinstance(name, str) and name and name not in models:
            known = ", ".join(sorted(models)) or "none"
            plan_yaml.mistake(
                ("stages", number, "model"),
                f"the main file has no model {name} (it has: {known})",
            )


def check_main_file(sound: SoundPart, folder: Path, file: YamlFile) -> None:
    """Check the addresses and files that the main file names; `folder` is the file's own."""
    _check_addresses(sound, file)
    _check_tls(sound, folder, file)
    _check_resigning(sound, folder, file)
    for name, model in sound.main.models.items():
        problem = check_source(model, folder)
        if problem:
            file.mistake(("models", name, "source"), problem)
        problem = check_service_tls(model, folder)
        if problem:
            file.mistake(("models", name, "ca_file"), problem)
    if sound.has("passage_store"):
        key, problem = find_shared_store_mistake(sound.main.passage_store, folder)
        if key:
            file.mistake(("passage_store", key), problem)
    settings_file = sound.main.kendra_plugin_settings_file
    if settings_file is not None:
        try:
            check_settings_file(folder / settings_file)
        except BadSettingsFile as error:
            file.mistake(("kendra_plugin_settings_file",), str(error))


def check_references(sound: SoundPart, plans: Mapping[str, Plan | None], file: YamlFile) -> None:
    """Check that every plan that the main file names has a file, and that services have keys."""
    known = ", ".join(sorted(plans)) or "none"
    for place, name in _named_plans(file.data):
        if isinstance(name, str) and name and name not in plans:
            file.mistake(place, f"there is no plan {name} (there are: {known})")
    if isinstance(_at(_at(file.data, "apis"), "kendra"), dict) and not plans:
        file.mistake(("apis", "kendra"), "needs a plan, whose models rank the documents")
    _check_embedding_model(file)
    if sound.main.kendra_plugin_settings_file is not None and PLUGIN_PLAN not in plans:
        file.mistake(
            ("kendra_plugin_settings_file",),
            f"needs a plan {PLUGIN_PLAN}, which the searches of its indexes get",
        )
    plugin_plan = plans.get(PLUGIN_PLAN)
    if plugin_plan is not None and plugin_plan.mode == "shadow":
        file.mistake(
            ("plans_folder",),
            f"plan {PLUGIN_PLAN} has mode: shadow, but the plugin's applications ask for its order",
        )
    _check_route_order(file)
    _check_mixed_plans(plans, file)
    _check_open_services(sound, file)
    _check_ray(sound, file)


def _check_addresses(sound: SoundPart, file: YamlFile) -> None:
    main = sound.main
    if sound.has("listen", "api_listen") and main.listen == main.api_listen and main.listen.port:
        file.mistake(("api_listen",), f"is the same address as listen, {main.listen}")
    if not sound.has("listen", "upstream"):
        return
    for number, url in enumerate(main.upstream.urls):
        parts = urlsplit(url)
        if (parts.hostname, parts.port) == main.listen:
            file.mistake(("upstream", "urls", number), "is the sidecar's own listen address")


def _check_tls(sound: SoundPart, folder: Path, file: YamlFile) -> None:
    main = sound.main
    if sound.has("upstream"):
        try:
            build_upstream_context(main.upstream, folder)
        except BadTlsFile as error:
            file.mistake(("upstream", "tls", error.key), str(error))
    for name, files in (("listen_tls", main.listen_tls), ("api_tls", main.api_tls)):
        try:
            build_listener_context(files, folder)
        except BadTlsFile as error:
            file.mistake((name, error.key), str(error))


def _check_resigning(sound: SoundPart, folder: Path, file: YamlFile) -> None:
    main = sound.main
    resign = main.upstream.resign
    if not sound.has("upstream") or resign is None:
        return
    place = ("upstream", "resign")
    for read in (find_credentials(resign.credentials, folder), find_client_secrets(resign, folder)):
        try:
            read()
        except BadCredentials as error:
            file.mistake((*place, *error.key), str(error))
    open_to_all = resign.clients.accept == "loopback" and not main.listen.is_loopback
    if open_to_all and sound.has("listen"):
        file.mistake(
            (*place, "clients", "accept"),
            f"everybody who reaches {main.listen} could call OpenSearch with the sidecar's rights; "
            "configure keys, or put listen on 127.0.0.1",
        )
    kendra = main.apis.kendra if sound.has("apis") else None
    for index_id, index in kendra.indexes.items() if kendra is not None else ():
        if index.account:
            file.mistake(
                ("apis", "kendra", "indexes", index_id, "account"),
                "has no use with upstream.resign: OpenSearch sees the sidecar's signature",
            )


def _named_plans(data: Any) -> Iterator[tuple[YamlPath, Any]]:
    """Every place of the main file that names a plan, with what stands there."""
    for number, route in _items(_at(data, "routes")):
        yield ("routes", number, "plan"), _at(route, "plan")
        for place, name in _mixed_plans(number, route):
            if not is_off(name):
                yield place, name
    apis = _at(data, "apis")
    for name in ("rerank", "kendra_ranking", "kendra"):
        yield ("apis", name, "plan"), _at(_at(apis, name), "plan")
    indexes = _at(_at(apis, "kendra"), "indexes")
    for index_id, index in indexes.items() if isinstance(indexes, dict) else ():
        yield ("apis", "kendra", "indexes", index_id, "plan"), _at(index, "plan")


def _mixed_plans(number: int, route: Any) -> Iterator[tuple[YamlPath, Any]]:
    """The plans of a route's `split` and `interleave`, with `off`."""
    split = _at(route, "split")
    for name in split if isinstance(split, dict) else ():
        yield ("routes", number, "split", OFF if is_off(name) else name), name
    for place, name in _items(_at(route, "interleave")):
        yield ("routes", number, "interleave", place), name


def _check_mixed_plans(plans: Mapping[str, Plan | None], file: YamlFile) -> None:
    """Check that `off` is no plan, and that the plans of an `interleave` fit together."""
    for number, route in _items(_at(file.data, "routes")):
        for place, name in _mixed_plans(number, route):
            if is_off(name) and OFF in plans:
                file.mistake(place, "off is OpenSearch's order; give the plan off another name")
        names = [name for _, name in _items(_at(route, "interleave")) if isinstance(name, str)]
        mixed = [plan for plan in map(plans.get, names) if plan is not None]
        for key in ("rescore_window", "document", "group_by"):
            if len(mixed) == 2 and getattr(mixed[0], key) != getattr(mixed[1], key):
                file.mistake(
                    ("routes", number, "interleave"),
                    f"{names[0]} and {names[1]} order the same hits, so both need the same {key}",
                )
        for name in names:
            plan = plans.get(name)
            if plan is not None and plan.mode == "shadow":
                file.mistake(
                    ("routes", number, "interleave"),
                    f"plan {name} has mode: shadow, so its order is not shown",
                )


def _check_embedding_model(file: YamlFile) -> None:
    name = _at(_at(_at(_at(file.data, "apis"), "rerank"), "embeddings"), "model")
    models = _at(file.data, "models")
    bi_encoders = {
        str(model_name)
        for model_name, model in (models.items() if isinstance(models, dict) else ())
        if _at(model, "kind") in ("bi-encoder", "static")
    }
    if isinstance(name, str) and name not in bi_encoders:
        known = ", ".join(sorted(bi_encoders)) or "none"
        file.mistake(
            ("apis", "rerank", "embeddings", "model"),
            f"there is no bi-encoder {name} (there are: {known})",
        )


def _check_route_order(file: YamlFile) -> None:
    routes: list[Route] = []
    for number, item in _items(_at(file.data, "routes")):
        try:
            route = Route.model_validate(item)
        except ValidationError:
            continue
        earlier = next((other for other in routes if other.matches(route.index)), None)
        if earlier:
            file.mistake(
                ("routes", number, "index"),
                f"is never reached: {earlier.index} above matches it already",
            )
        routes.append(route)


def _check_ray(sound: SoundPart, file: YamlFile) -> None:
    settings = sound.main.ray
    if settings is None or settings.listen.is_loopback or not sound.has("apis"):
        return
    rerank = sound.main.apis.rerank
    if rerank is None or rerank.bearer is None or not rerank.bearer.keys:
        file.mistake(
            ("ray", "listen"),
            f"everybody who reaches {settings.listen} could call the models; configure "
            "apis.rerank.bearer.keys, or put it on 127.0.0.1",
        )


def _check_open_services(sound: SoundPart, file: YamlFile) -> None:
    if sound.has("api_listen") and sound.main.api_listen.is_loopback:
        return
    message = (
        f"has no keys, so everybody who reaches {sound.main.api_listen} could call it; "
        "configure keys, or put api_listen on 127.0.0.1"
    )
    asked = "ui" in sound.main.model_fields_set
    if sound.has("ui", "api_listen") and asked and sound.main.ui.needs_loopback:
        file.mistake(("ui",), message)
    if not sound.has("apis", "api_listen"):
        return
    apis = sound.main.apis
    sections = {
        "rerank": apis.rerank,
        "kendra_ranking": apis.kendra_ranking,
        "kendra": apis.kendra,
    }
    for name, section in sections.items():
        if section is not None and section.needs_loopback and apis.asks_for(name):
            file.mistake(("apis", name), message)


def _at(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _items(value: Any) -> Iterator[tuple[int, Any]]:
    return enumerate(value if isinstance(value, list) else ())
