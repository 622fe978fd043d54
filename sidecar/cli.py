"""The command line: `sidecar serve`, `check` and `demo`; longer commands are in `commands/`.

An error is one line on stderr that says what to do. Exit status 2: wrong usage or configuration;
1: a negative result; 0: success.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from sidecar.commands.bench import bench
from sidecar.commands.config_diff import print_differences
from sidecar.commands.evaluate import evaluate
from sidecar.commands.explain import explain
from sidecar.commands.init import init
from sidecar.commands.kendra_index import kendra_index
from sidecar.commands.models import models
from sidecar.commands.schema import schema
from sidecar.commands.terminal import Refused, config_option, read_configuration, run_loop
from sidecar.commands.tune import tune
from sidecar.commands.warm import warm
from sidecar.config.main_file import Address, Config, find_students, read_address
from sidecar.config.routes import Route
from sidecar.config_reading.config_files import ConfigError, read_config
from sidecar.cores import usable_cores
from sidecar.log_output import LogOutput, plain_log, start_log, stop_log
from sidecar.relay.descriptors import raise_limit
from sidecar.service_manager import tell_service_manager
from sidecar.workers.parent import Parent, open_listening, worker_command
from sidecar.workers.sharing import ParentLink, WorkerPart, read_part
from sidecar.workers.template import fork_workers, take_signals

if TYPE_CHECKING:
    from sidecar.models.preloading import Preloaded


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(
    package_name="rescore-sidecar", prog_name="sidecar", message="%(prog)s %(version)s"
)
def main() -> None:
    """A transparent proxy that gives a self-managed OpenSearch a better order.

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
    help="Time for requests in flight after SIGTERM.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log each search that was not rescored.")
def serve(config_path: Path, grace: float, verbose: bool) -> None:
    """Start the proxy and the api listener; stop with Ctrl-C or SIGTERM.

    SIGHUP reads the configuration again, without a restart.

    Example: sidecar serve --config config/sidecar.yaml
    """
    worker, preloaded = None, None
    if (part := read_part(os.environ)) is not None:
        worker, preloaded = fork_workers(part, lambda: _preload(config_path, verbose))
    # Before there is a loop to handle it: by default SIGHUP ends a process.
    early = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: early.set())
    if worker is not None:
        take_signals()
    config = read_configuration(config_path)
    log = start_log(config.main.log, sys.stderr.fileno(), verbose)
    try:
        count = usable_cores() if config.main.workers == "auto" else config.main.workers
        if worker is None and count > 1:
            arguments = ["serve", "--config", str(config_path), "--grace", str(grace)]
            command = worker_command([*arguments, *(["-v"] if verbose else [])])
            status = run_loop(lambda: _serve_by_workers(config, config_path, command, count, grace))
            sys.exit(status)
        run_loop(lambda: _serve(config, config_path, grace, early, log, worker, preloaded))
    finally:
        stop_log(log)


def _preload(path: Path, verbose: bool) -> Preloaded:
    """Import and load what workers share, in their template."""
    import sidecar.app
    import sidecar.reloading.reloader  # noqa: F401 - for the workers
    from sidecar.models.preloading import PreloadError, preload_models

    main = (config := read_configuration(path)).main
    cache = main.passage_store.folder_in(path.parent)
    students = find_students(config.plans)
    log = logging.getLogger("sidecar.workers")
    with plain_log(main.log, verbose):
        try:
            return preload_models(main.models, path.parent, cache, students, log.info)
        except PreloadError as error:
            raise Refused(str(error)) from None


async def _serve(
    config: Config,
    path: Path,
    grace: float,
    early: threading.Event,
    log: LogOutput,
    worker: WorkerPart | None,
    preloaded: Preloaded | None,
) -> None:
    from sidecar.app import Application, StartError
    from sidecar.event_loop.short_collections import DUE_S, LATEST_S, ShortCollections
    from sidecar.models.loading import ModelLoadError
    from sidecar.reloading.reloader import Reloader

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    app = Application(config, path.parent, worker=worker, preloaded=preloaded or {})
    parent = None if worker is None else ParentLink(worker.control)
    if parent is not None:
        parent.watch(stopping.set)
    app.metrics.log_lines_dropped.set_function(log.dropped)
    reloader = Reloader(lambda: read_config(path), app.reload, app.metrics, tell_service_manager)
    app.last_reload = reloader.report
    if worker is not None and not worker.early:  # meanwhile others serve
        try:
            await app.load_models()
        except ModelLoadError as error:
            raise Refused(str(error)) from None
    watching: asyncio.Task[None] | None = None
    # To look at an object writes to it, so memory that workers share becomes each one's own.
    collections = ShortCollections(app.is_idle, DUE_S if worker is None else LATEST_S)
    try:
        loop.add_signal_handler(signal.SIGHUP, reloader.request)
        if early.is_set():
            reloader.request()
        before, allowed = raise_limit()
        await app.start()
        raised = f" (raised from {before})" if allowed > before else ""
        logging.getLogger("sidecar").info("open files: at most %d%s", allowed, raised)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        waits = worker is not None and worker.early  # for a worker with models in its place
        # Loading causes full collections; they need not look through what stands (see below).
        gc.freeze()
        loading = loop.create_task(asyncio.Event().wait() if waits else app.load_models())
        if parent is None:
            _print_addresses(config, app.proxy_address, app.api_address)
        else:
            parent.tell("listening")
        tell_service_manager("READY=1", "STATUS=Models are loading; searches keep their order")
        stopped = loop.create_task(stopping.wait())
        await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            await loading
            collections.start()
            if parent is None:
                _print_ready(config)
            else:
                parent.tell("ready")
            tell_service_manager("STATUS=Models are ready")
            reloader.begin()
            if config.main.reload == "watch" and parent is None:
                from sidecar.reloading.file_watch import watch_files

                work = watch_files(path, lambda: app.config, reloader.request)
                watching = loop.create_task(work)
            await stopped
        else:
            loading.cancel()
    except (StartError, ModelLoadError) as error:
        raise Refused(str(error)) from None
    finally:
        tell_service_manager("STOPPING=1")
        stopping.set()
        collections.stop()
        if watching is not None:
            watching.cancel()
        await reloader.stop()
        await app.stop(grace)


def _describe_route(route: Route, config: Config) -> str:
    states = {
        name: " (not enabled)" if not plan.enabled else " (shadow)" if plan.mode == "shadow" else ""
        for name, plan in config.plans.items()
    }
    if route.split is not None:
        shares = (f"{share:g}% {name}{states.get(name, '')}" for name, share in route.split.items())
        return "split " + ", ".join(shares)
    if route.interleave is not None:
        return "interleave " + ", ".join(
            f"{name}{states.get(name, '')}" for name in route.interleave
        )
    return f"plan {route.name}{states[route.name]}"


async def _serve_by_workers(
    config: Config, path: Path, command: list[str], count: int, grace: float
) -> int:
    """The parent of `count` workers; returns the exit status."""
    loop, main, log = asyncio.get_running_loop(), config.main, logging.getLogger("sidecar.reload")
    sockets: list[list[socket.socket]] = []
    for key, address in (("listen", main.listen), ("api_listen", main.api_listen)):
        try:
            sockets.append(open_listening(address))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            message = f"cannot listen on {address}: {reason}; change {key} in the configuration"
            raise Refused(message) from None
    proxy, api = sockets
    current = config
    announced = False

    def listening() -> None:
        nonlocal announced
        if announced:
            return
        announced = True
        ports = [open_sockets[0].getsockname()[1] for open_sockets in sockets]
        _print_addresses(
            config, Address(main.listen.host, ports[0]), Address(main.api_listen.host, ports[1])
        )
        tell_service_manager("READY=1", "STATUS=Models are loading; searches keep their order")

    def all_ready() -> None:
        _print_ready(config)
        tell_service_manager("STATUS=Models are ready")

    def reload() -> None:
        nonlocal current
        try:
            current = read_config(path)
        except ConfigError as error:
            for line in str(error).splitlines():
                log.error("reload: %s", line)
            log.error("reload: refused; the old configuration stays")
        else:
            parent.signal_all(signal.SIGHUP)

    parent = Parent(command, count, proxy, api, grace, listening, all_ready)
    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, parent.stop)
    watching = None
    if main.reload == "watch":
        from sidecar.reloading.file_watch import watch_files

        watching = loop.create_task(watch_files(path, lambda: current, reload))
    try:
        return await parent.run()
    finally:
        tell_service_manager("STOPPING=1")
        if watching is not None:
            watching.cancel()


def _print_addresses(config: Config, proxy: Address, api: Address) -> None:
    click.echo(f"proxy  {proxy}  ->  {', '.join(config.main.upstream.urls)}")
    click.echo(f"api    {api}  /healthz /readyz /metrics")


def _print_ready(config: Config) -> None:
    for name, model in sorted(config.main.models.items()):
        click.echo(f"model  {name}: {model.kind}, {model.source}, {model.runs_on}")
    for route in config.main.routes:
        click.echo(f"route  {route.index}  ->  {_describe_route(route, config)}")
    click.echo("ready")


@main.command()
@config_option
@click.option("--upstream", is_flag=True, help="Check the cluster too: indexes, fields, pipelines.")
@click.option(
    "--diff",
    metavar="SOURCE",
    help="What a reload would change; SOURCE is the api listener of the running sidecar, such as"
    " http://127.0.0.1:9280, or the old main file or its folder.",
)
def check(config_path: Path, upstream: bool, diff: str | None) -> None:
    """Check the configuration and report every mistake as file:line: path: message.

    Example: sidecar check --config config/sidecar.yaml --upstream
    """
    config = read_configuration(config_path)
    if upstream:
        from sidecar.upstream_check import check_upstream, propose_pipelines

        problems = check_upstream(config, config_path.parent)
        if problems:
            raise Refused("\n".join(problems))
        lines = propose_pipelines(config, config_path.parent)
        if lines:
            click.echo("upstream.pipelines could list the cluster's other search pipelines:")
            click.echo("".join(f"  {line}\n" for line in lines), nl=False)
    if diff is not None:
        print_differences(config, config_path, diff)
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
            return read_address(f"127.0.0.1:{value}").port
        except ValueError:
            self.fail(f"{value!r} is not a port from 0 to 65535", param, ctx)


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
@click.option("--ray", is_flag=True, help="Let Ray Serve run the model; needs the extra [ray].")
def demo(once: bool, port: int, api_port: int, opensearch_url: str | None, ray: bool) -> None:
    """Show the product: an embedded OpenSearch, a judged collection, before and after.

    Example: sidecar demo --once
    """
    from sidecar.app import CannotListen, StartError
    from sidecar.demo.demo import DemoError, run_demo
    from sidecar.models.loading import ModelLoadError

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)

    async def run() -> None:
        try:
            await run_demo(
                Console(),
                once=once,
                port=port,
                api_port=api_port,
                opensearch_url=opensearch_url,
                ray=ray,
            )
        except CannotListen as error:
            option = "--port" if error.key == "listen" else "--api-port"
            raise Refused(f"{error.place}; choose another {option}") from None
        except (StartError, ModelLoadError, DemoError) as error:
            raise Refused(str(error)) from None

    run_loop(run)


main.add_command(bench)
main.add_command(evaluate)
main.add_command(explain)
main.add_command(init)
main.add_command(kendra_index)
main.add_command(models)
main.add_command(schema)
main.add_command(tune)
main.add_command(warm)
