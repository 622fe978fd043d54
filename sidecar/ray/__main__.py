"""`python -m sidecar.ray`: serves the models of a main file on Ray Serve, on this machine."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import click

from sidecar.commands.terminal import Refused, config_option, read_configuration
from sidecar.models.missing_library import missing_library
from sidecar.ray.deployment import NothingToServe, check_serving, find_most_replicas
from sidecar.ray.replica import find_served
from sidecar.ray.service import ServiceFailed, prepare_models, serving


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@config_option
@click.option("--watch-input", is_flag=True, help="Also end when standard input is closed.")
def main(config_path: Path, watch_input: bool) -> None:
    """Serve the configured models on Ray Serve, for sidecars with backend: remote.

    Ends with Ctrl-C or SIGTERM.

    Example: python -m sidecar.ray --config config/sidecar.yaml
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if watch_input:
        # So it does not outlive the process that started it, however that one ends.
        threading.Thread(target=_watch_input, args=(stopping,), daemon=True).start()
    config = read_configuration(config_path)
    try:
        settings = check_serving(config)
        prepare_models(config, config_path.parent, click.echo)
        with serving(config_path, config) as address:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            click.echo(f"ray    http://{address}  /v1/rerank /v1/embeddings")
            for name, model in sorted(find_served(config.main).items()):
                click.echo(f"model  {name}: {model.kind}, {model.source}, {model.runs_on}")
            replicas, most = settings.replicas, find_most_replicas(settings)
            click.echo(f"replicas  {replicas.min} to {most}, {replicas.cores} core(s) each")
            click.echo("ready")
            stopping.wait()
    except (NothingToServe, ServiceFailed) as error:
        raise Refused(str(error)) from None
    except ImportError as error:
        raise Refused(missing_library(error)) from None


def _watch_input(stopping: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    stopping.set()


if __name__ == "__main__":
    main(prog_name="python -m sidecar.ray")
