"""The Ray Serve application: its replicas, autoscaling and bounds, from the main file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.config.main_file import Config
from sidecar.config.ray import RayServing
from sidecar.config_reading.config_files import read_config
from sidecar.cores import usable_cores
from sidecar.ray.replica import Replica, find_served

DEFAULT_CONFIG = "config/sidecar.yaml"

_STOP_S = 20.0
_LOOK_S = 0.5


class NothingToServe(ValueError):
    """The configuration cannot be served on Ray; the message says what to change."""


def check_serving(config: Config) -> RayServing:
    """The settings of a configuration; raises NothingToServe."""
    main = config.main
    settings = main.ray or RayServing()
    if not find_served(main):
        raise NothingToServe("models: Ray needs a model here that is not backend: remote")
    bearer = main.apis.rerank.bearer if main.apis.rerank is not None else None
    if not settings.listen.is_loopback and (bearer is None or not bearer.keys):
        raise NothingToServe(
            f"ray.listen: everybody who reaches {settings.listen} could call the models; configure "
            "apis.rerank.bearer.keys, or put ray.listen on 127.0.0.1"
        )
    return settings


def find_most_replicas(settings: RayServing) -> int:
    """The replicas that autoscaling may reach."""
    replicas = settings.replicas
    room = usable_cores() // replicas.cores
    return max(replicas.min, room if replicas.max is None else replicas.max)


def build_application(config_path: Path, *, only_loopback: bool = False) -> Any:
    """The application of a main file, for `serve.run`.

    `only_loopback`: the replicas listen on loopback only, so all are on one machine. Raises
    ConfigError, NothingToServe, and ImportError without Ray.
    """
    from ray import serve

    settings = check_serving(read_config(config_path))
    replicas = settings.replicas
    deployment = serve.deployment(
        name="models",
        ray_actor_options={"num_cpus": replicas.cores},
        autoscaling_config={
            "min_replicas": replicas.min,
            "max_replicas": find_most_replicas(settings),
            "target_ongoing_requests": replicas.target_calls,
        },
        max_ongoing_requests=replicas.max_calls,
        max_queued_requests=settings.max_waiting,
        graceful_shutdown_timeout_s=_STOP_S,
        graceful_shutdown_wait_loop_s=_LOOK_S,
        logging_config={"enable_access_log": False},
    )
    return deployment(Replica).bind(str(config_path.resolve()), only_loopback)


def application(arguments: Mapping[str, Any]) -> Any:
    """For `serve run sidecar.ray:application config=PATH`, and for Serve's configuration files.

    PATH is the main file, at the same place on each node.
    """
    unknown = sorted(set(arguments) - {"config"})
    if unknown:
        raise NothingToServe(f"there is no argument {unknown[0]}; write config=PATH")
    return build_application(Path(arguments.get("config", DEFAULT_CONFIG)))
