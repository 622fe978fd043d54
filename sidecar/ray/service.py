"""Starts a Ray of one machine, serves the application on it, and ends both."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sidecar.config.main_file import Address, Config
from sidecar.config.rerank import RerankApis
from sidecar.cores import usable_cores
from sidecar.models.inventory import list_models
from sidecar.models.preparation import prepare_model
from sidecar.ray.deployment import build_application, check_serving
from sidecar.ray.replica import find_served

_NAME = "rescore-sidecar"
_STARTS = 5
_LATE_S = 5.0
# Ray's store for large objects, which Serve hardly uses. Ray's default is 30% of the memory.
_OBJECT_STORE_BYTES = 128 << 20

_ENVIRONMENT = {
    # On loopback alone: Ray does this by itself where clusters are not supported.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Nothing about this machine is sent to Ray's authors.
    "RAY_USAGE_STATS_ENABLED": "0",
}


class ServiceFailed(Exception):
    """The service cannot start; the message says why."""


def prepare_models(config: Config, folder: Path, report: Callable[[str], None]) -> None:
    """Prepare the served models, so that replicas find them. Blocks; raises ServiceFailed."""
    cache = config.main.passage_store.folder_in(folder)
    cache = cache.resolve() if cache else None
    for one in list_models(find_served(config.main), folder, cache):
        if one.problem:
            raise ServiceFailed(f"model {one.name!r}: {one.problem}")
        if one.prepared is not None or one.source is None or one.key is None:
            continue

        def tell(step: str, name: str = one.name) -> None:
            report(f"preparing model {name}: {step}")

        try:
            prepare_model(one.model, one.source, one.key, cache, tell)
        except (OSError, ValueError) as error:
            raise ServiceFailed(f"model {one.name!r}: {error}") from None


@contextmanager
def serving(config_path: Path, config: Config) -> Iterator[Address]:
    """Serve the models of a main file until the end of the block; yields the address.

    Blocks until all replicas that are always there are ready. Raises ServiceFailed, NothingToServe,
    and ImportError without Ray.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Ray reads its environment when it is imported.
    import ray
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    main, settings = config.main, check_serving(config)
    listen, replicas = settings.listen, settings.replicas
    # Ray places a replica only where its cores are free; what is always there has a place.
    cores = max(usable_cores(), replicas.cores * replicas.min)
    check_free(listen)
    _start_ray(ray, cores)
    try:
        serve.start(
            http_options={
                "host": listen.host,
                "port": listen.port,
                # Also bounds how long a call waits for a replica.
                "request_timeout_s": (main.apis.rerank or RerankApis()).deadline_ms / 1000
                + _LATE_S,
            },
            logging_config={"log_level": "ERROR", "enable_access_log": False},
        )
        try:
            serve.run(
                build_application(config_path, only_loopback=True), name=_NAME, route_prefix="/"
            )
        except RuntimeError as error:
            raise ServiceFailed(_last_line(str(error))) from None
        yield listen
        # Lets calls end first; the rest ends with Ray.
        serve.delete(_NAME)
    finally:
        ray.shutdown()


def check_free(listen: Address) -> None:
    """Raise ServiceFailed if the address cannot be listened on; Ray would wait for it."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            # As servers do: a port with only finished connections is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ServiceFailed(f"cannot listen on {listen}: {reason}; change ray.listen") from None


def _start_ray(ray: Any, cores: int) -> None:
    """Start Ray's own processes. Raises ServiceFailed."""
    for attempt in range(1, _STARTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=cores,
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
            )
        except Exception as error:  # Ray raises this class itself
            # Ray gives one of its processes 15 s to start, which a busy machine may exceed.
            ray.shutdown()
            if attempt == _STARTS:
                raise ServiceFailed(f"Ray does not start: {_last_line(str(error))}") from None
        else:
            return


def _last_line(text: str) -> str:
    """The last line of Ray's message, which is that of the exception in the replica."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "Ray Serve could not start the replicas"
