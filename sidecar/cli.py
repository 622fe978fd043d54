"""The command line: `sidecar serve`, `check` and `demo`; longer ones are in `commands/`.

Errors are one line on stderr that says what to do. Exit status 2: wrong usage or configuration;
1: a negative answer; 0: done.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sidecar.commands.bench import bench
from sidecar.commands.evaluate import evaluate
from sidecar.commands.explain import explain
from sidecar.commands.kendra_index import kendra_index
from sidecar.commands.models import models
from sidecar.commands.terminal import Refused, config_option, read_configuration, run_loop
from sidecar.commands.tune import tune
from sidecar.commands.warm import warm
from sidecar.config import Address, Config, read_address


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package_name="rescore-sidecar", prog_name="sidecar")
def main() -> None:
    """Give a self-managed OpenSearch a better order: a transparent rescoring proxy.

    Example: sidecar demo
    """


@main.command()
@config_option
@click.option(
    "--grace",
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(0),
    help="Time that requests in flight get after SIGTERM.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log each search that was not rescored.")
def serve(config_path: Path, grace: float, verbose: bool) -> None:
    """Start the proxy and the api listener; stop with Ctrl-C or SIGTERM.

    Example: sidecar serve --config config/sidecar.yaml
    """
    config = read_configuration(config_path)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    for library in ("sentence_transformers", "transformers", "torch", "httpx", "opensearch"):
        logging.getLogger(library).setLevel(logging.WARNING)
    run_loop(lambda: _serve(config, config_path.parent, grace))


async def _serve(config: Config, folder: Path, grace: float) -> None:
    from sidecar.app import Application, StartError
    from sidecar.models.loading import ModelLoadError

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    app = Application(config, folder)
    try:
        await app.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loading = loop.create_task(app.load_models())
        click.echo(f"proxy  {app.proxy_address}  ->  {', '.join(config.main.upstream.urls)}")
        click.echo(f"api    {app.api_address}  /healthz /readyz /metrics")
        stopped = loop.create_task(stopping.wait())
        await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            await loading
            _print_ready(config)
            await stopped
        else:
            loading.cancel()
    except (StartError, ModelLoadError) as error:
        raise Refused(str(error)) from None
    finally:
        stopping.set()
        await app.stop(grace)


def _print_ready(config: Config) -> None:
    for name, model in sorted(config.main.models.items()):
        click.echo(f"model  {name}: {model.kind}, {model.source}, {model.backend}")
    for route in config.main.routes:
        plan = config.plans[route.plan]
        state = "" if plan.enabled else " (not enabled)"
        click.echo(f"route  {route.index}  ->  plan {route.plan}{state}")
    click.echo("ready")


@main.command()
@config_option
@click.option("--upstream", is_flag=True, help="Ask the cluster too: indexes, fields, pipelines.")
def check(config_path: Path, upstream: bool) -> None:
    """Read all configuration and tell every mistake, as file:line: path: message.

    Example: sidecar check --config config/sidecar.yaml --upstream
    """
    config = read_configuration(config_path)
    if upstream:
        from sidecar.upstream_check import check_upstream

        problems = check_upstream(config, config_path.parent)
        if problems:
            raise Refused("\n".join(problems))
    counts = ", ".join(
        f"{count} {noun}{'' if count == 1 else 's'}"
        for noun, count in (
            ("model", len(config.main.models)),
            ("plan", len(config.plans)),
            ("route", len(config.main.routes)),
        )
    )
    agrees = ", the cluster agrees" if upstream else ""
    click.echo(f"{config_path}: no mistakes ({counts}{agrees})")


class _AddressPort(click.ParamType[int]):
    name = "PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            address = read_address(f"127.0.0.1:{value}")
        except ValueError:
            self.fail(f"{value!r} is not a port from 0 to 65535", param, ctx)
        assert isinstance(address, Address)
        return address.port


@main.command()
@click.option("--once", is_flag=True, help="Exit after the table.")
@click.option(
    "--port", type=_AddressPort(), default=9201, show_default=True, help="Port of the proxy."
)
@click.option(
    "--api-port",
    type=_AddressPort(),
    default=9280,
    show_default=True,
    help="Port of the api listener.",
)
@click.option(
    "--opensearch",
    "opensearch_url",
    metavar="URL",
    help="Use this cluster instead of an embedded one.",
)
def demo(once: bool, port: int, api_port: int, opensearch_url: str | None) -> None:
    """Try it: an embedded OpenSearch, a judged collection, before and after.

    Example: sidecar demo --once
    """
    from sidecar.app import CannotListen, StartError
    from sidecar.demo.demo import DemoError, run_demo
    from sidecar.models.loading import ModelLoadError

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)

    async def run() -> None:
        try:
            await run_demo(
                Console(), once=once, port=port, api_port=api_port, opensearch_url=opensearch_url
            )
        except CannotListen as error:
            option = "--port" if error.key == "listen" else "--api-port"
            raise Refused(f"{error.place}; give another {option}") from None
        except (StartError, ModelLoadError, DemoError) as error:
            raise Refused(str(error)) from None

    run_loop(run)


main.add_command(bench)
main.add_command(evaluate)
main.add_command(explain)
main.add_command(kendra_index)
main.add_command(models)
main.add_command(tune)
main.add_command(warm)
