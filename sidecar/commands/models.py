"""`sidecar models`: lists the configured models and their files, and prepares models."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.status import Status

from sidecar.commands.terminal import Negative, Refused, config_option, read_configuration
from sidecar.config.main_file import Config, find_students

if TYPE_CHECKING:
    from sidecar.models.inventory import ModelFiles

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def models() -> None:
    """List the configured models, or prepare them before the first start.

    Example: sidecar models prepare
    """


@models.command("list")
@config_option
@_json_option
def list_command(config_path: Path, as_json: bool) -> None:
    """Show each model's files, whether it is prepared, and how closely it ranks like the original.

    Example: sidecar models list
    """
    files = _find_files(read_configuration(config_path), config_path)
    if as_json:
        click.echo(json.dumps([_as_object(one) for one in files], indent=2))
        return
    for one in files:
        _print(one)


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@config_option
def prepare(names: tuple[str, ...], config_path: Path) -> None:
    """Prepare models now, so that the next start takes seconds. Without NAME: all models.

    Exit status 1: a model cannot be prepared.

    Example: sidecar models prepare minilm
    """
    from sidecar.models.preparation import prepare_model
    from sidecar.models.preparing.parity import describe
    from sidecar.models.verdicts import find_verdict

    config = read_configuration(config_path)
    unknown = sorted(set(names) - set(config.main.models))
    if unknown:
        known = ", ".join(config.main.models) or "none"
        raise Refused(f"no model {', '.join(unknown)} in {config_path}; there are: {known}")
    console = Console()
    failed = []
    for one in _find_files(config, config_path):
        if names and one.name not in names:
            continue
        if one.problem:
            failed.append(f"model {one.name!r}: {one.problem}")
            continue
        if not one.model.is_prepared or not one.source or not one.key:
            click.echo(f"{one.name}: {one.model.runs_on} needs no preparation")
            continue
        if one.prepared:
            click.echo(f"{one.name}: already prepared, {one.prepared}")
            _begin_student(one, config, config_path)
            continue
        started = time.monotonic()
        try:
            with console.status(f"{one.name}: preparing") as status:

                def show_step(step: str, name: str = one.name, status: Status = status) -> None:
                    status.update(f"{name}: {step}")

                folder = prepare_model(
                    one.model, one.source, one.key, _cache(config, config_path), show_step
                )
        except (OSError, ValueError) as error:
            failed.append(f"model {one.name!r}: {error}")
            continue
        verdict = find_verdict(folder)
        if verdict is None:  # the folder was deleted or replaced meanwhile
            failed.append(f"model {one.name!r}: {folder} is damaged; delete it and try again")
            continue
        click.echo(
            f"{one.name}: prepared in {time.monotonic() - started:.0f} s as "
            f"{verdict.way.precision}, {folder}\n  {describe(verdict.parity)}"
        )
        if times := verdict.describe_times():
            click.echo(f"  {times}")
        for reason in verdict.refused:
            click.echo(f"  rejected: {reason}")
        _begin_student(one, config, config_path)
    if failed:
        raise Negative("\n".join(failed))


def _begin_student(one: ModelFiles, config: Config, config_path: Path) -> None:
    """Read the word pieces with which the model's student begins, if a plan uses one.

    The first start would do it otherwise, and cannot if it may not write to the folder.
    """
    if one.model.kind != "bi-encoder" or one.name not in find_students(config.plans):
        return
    from sidecar.metrics import Metrics
    from sidecar.models.loading import ModelLoadError, load_models

    try:
        load_models(
            {one.name: one.model},
            config_path.parent,
            Metrics(),
            cache=_cache(config, config_path),
            owns_cache=False,
            keep_vectors=False,
            students=(one.name,),
            report=click.echo,
        ).close()
    except ModelLoadError as error:
        raise Negative(f"model {one.name!r}: {error.reason}") from None


def _find_files(config: Config, config_path: Path) -> list[ModelFiles]:
    from sidecar.models.inventory import list_models

    return list_models(config.main.models, config_path.parent, _cache(config, config_path))


def _cache(config: Config, config_path: Path) -> Path | None:
    folder = config.main.passage_store.folder_in(config_path.parent)
    return folder.resolve() if folder else None


def _as_object(one: ModelFiles) -> dict[str, Any]:
    manifest, verdict = one.manifest, one.verdict
    return {
        "name": one.name,
        "kind": one.model.kind,
        "source": one.model.source,
        "backend": one.model.runs_on,
        "files": str(one.prepared or one.source or "") or None,
        "prepared": one.prepared is not None if one.key else None,
        "stored_as": list(manifest.forms) if manifest else None,
        "precision": verdict.way.precision if verdict else None,
        "computed_in": verdict.way.computed_in if verdict else None,
        "milliseconds": dict(verdict.milliseconds) if verdict else None,
        "query_prompt": manifest.query_prompt if manifest else None,
        "passage_prompt": manifest.passage_prompt if manifest else None,
        "refused": list(verdict.refused) if verdict else None,
        "bytes": one.size,
        "parity": asdict(verdict.parity) if verdict else None,
        "problem": one.problem,
    }


def _print(one: ModelFiles) -> None:
    from sidecar.models.preparing.parity import describe

    if one.key is None:
        state = "needs no preparation"
    elif one.manifest is None:
        state = "not yet; the next start prepares it, or run: sidecar models prepare"
    else:
        state = f"as {' and '.join(one.manifest.forms)}, {one.size / 1e6:.0f} MB"
        if one.verdict:
            state += f"; computed in {one.verdict.way.computed_in} on this processor"
    rows = [
        ("kind", one.model.kind),
        ("source", one.model.source),
        ("backend", one.model.runs_on),
        ("prepared", state),
        ("files", str(one.prepared or one.source or "none")),
    ]
    if one.verdict:
        rows.append(("ranks", describe(one.verdict.parity)))
        if times := one.verdict.describe_times():
            rows.append(("costs", times))
    elif one.manifest:
        rows.append(
            ("ranks", "measured on another kind of processor; the next start measures here")
        )
    if one.manifest:
        prompts = (("query", one.manifest.query_prompt), ("passage", one.manifest.passage_prompt))
        rows += [("prompt", f"{name}: {prompt!r}") for name, prompt in prompts if prompt]
    if one.verdict:
        rows += [("rejected", reason) for reason in one.verdict.refused]
    if one.problem:
        rows.append(("problem", one.problem))
    click.echo(one.name)
    for label, value in rows:
        click.echo(f"  {label:10}{value}")
