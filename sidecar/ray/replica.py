"""One replica: the configured models, loaded in a process of its own, behind Ray Serve's proxy."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.config.main_file import MainFile, Model
from sidecar.config.ray import RayServing
from sidecar.config.rerank import RerankApis
from sidecar.config_reading.config_files import read_config
from sidecar.event_loop.off_loop import share_the_interpreter
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.ray.answering import Answering, HttpCall

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_log = logging.getLogger(__name__)


def find_served(main: MainFile) -> dict[str, Model]:
    """The models that a replica loads: all but remote ones. Each computes with the threads of its
    replica's cores, unless it says another number."""
    cores = (main.ray or RayServing()).replicas.cores
    return {
        name: model.model_copy(update={"threads": model.threads or cores})
        if model.is_prepared
        else model
        for name, model in main.models.items()
        if model.backend != "remote"
    }


class Replica:
    """Answers HTTP requests from the models of a main file, which it reads itself.

    So no key and no password is part of what Ray stores about the deployment.
    """

    def __init__(self, config_path: str, only_loopback: bool) -> None:
        """Load the models; raises ConfigError or ModelLoadError."""
        from ray import serve

        if only_loopback:
            _stay_on_loopback()
        share_the_interpreter()
        path = Path(config_path)
        main = read_config(path).main
        served = find_served(main)
        batch = (main.ray or RayServing()).batch
        models = load_in_replica(main, path.parent)
        self._answering = Answering(
            main.apis.rerank or RerankApis(),
            {name: model.kind for name, model in served.items()},
            models,
            serve.batch(max_batch_size=batch.calls, batch_wait_timeout_s=batch.wait_ms / 1000),
        )

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        from starlette.responses import Response

        fields = request.headers
        length = fields.get("content-length", "")
        answer = await self._answering.answer(
            HttpCall(
                method=request.method,
                path=request.url.path,
                authorization=fields.get("authorization"),
                content_length=int(length) if length.isascii() and length.isdigit() else None,
                content_encoding=fields.get("content-encoding"),
                body=request.stream(),
            )
        )
        return Response(
            answer.text, answer.status, dict(answer.fields), media_type="application/json"
        )


def load_in_replica(main: MainFile, folder: Path) -> Models:
    """Load the served models. Blocks. Vectors stay in memory: the callers keep theirs."""
    store = main.passage_store
    cache = store.folder_in(folder)
    return load_models(
        find_served(main),
        folder,
        Metrics(),
        cache=cache.resolve() if cache else None,
        passage_store_mb=store.memory_mb,
        owns_cache=False,
        keep_vectors=False,
    )


def _stay_on_loopback() -> None:
    """Let this process listen on loopback only.

    A replica has a port for calls of other deployments, which Ray Serve 2.60 binds to all
    addresses, whatever the node's address is. It asks for Ray's token, and nobody needs it here.
    """
    try:
        from ray.serve._private import replica

        bind: Any = replica.add_port_to_grpc_server
        replica.add_port_to_grpc_server = lambda server, address: bind(
            server, address.replace("[::]", "127.0.0.1")
        )
    except (ImportError, AttributeError):
        _log.warning("this version of Ray listens on all addresses; it asks for Ray's token")
