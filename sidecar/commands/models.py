"""`sidecar models`: which models are configured, where their files are; prepare them ahead."""

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
from sidecar.config import Config

if TYPE_CHECKING:
    from sidecar.models.inventory import ModelFiles

_json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for machines.")


@click.group()
def models() -> None:
    """Configured models: list them, prepare them ahead of the start.

    Example: sidecar models prepare
    """


@models.command("list")
@config_option
@_json_option
def list_command(config_path: Path, as_json: bool) -> None:
    """Where each model's files are, whether it is prepared, and how near the original it ranks.

    Example: sidecar models list
    """
    files = _look(read_configuration(config_path), config_path)
    if as_json:
        click.echo(json.dumps([_as_object(one) for one in files], indent=2))
        return
    for one in files:
        _print(one)


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@config_option
def prepare(names: tuple[str, ...], config_path: Path) -> None:
    """Convert models now, so that the next start takes seconds; all of them without NAME.

    Exit status 1 when one cannot be prepared.

    Example: sidecar models prepare minilm
    """
    from sidecar.models.inventory import PREPARED_BACKENDS
    from sidecar.models.preparation import prepare_model
    from sidecar.models.prepared import read_manifest
    from sidecar.models.preparing.parity import describe

    config = read_configuration(config_path)
    unknown = sorted(set(names) - set(config.main.models))
    if unknown:
        known = ", ".join(config.main.models) or "none"
        raise Refused(f"no model {', '.join(unknown)} in {config_path}; there are: {known}")
    console = Console()
    failed = []
    for one in _look(config, config_path):
        if names and one.name not in names:
            continue
        if one.problem:
            failed.append(f"model {one.name!r}: {one.problem}")
            continue
        if one.model.backend not in PREPARED_BACKENDS or not one.source or not one.key:
            click.echo(f"{one.name}: {one.model.backend} needs no preparing")
            continue
        if one.prepared:
            click.echo(f"{one.name}: is prepared, {one.prepared}")
            continue
        started = time.monotonic()
        try:
            with console.status(f"{one.name}: preparing") as status:

                def tell(step: str, name: str = one.name, status: Status = status) -> None:
                    status.update(f"{name}: {step}")

                folder = prepare_model(
                    one.model, one.source, one.key, _cache(config, config_path), tell
                )
        except (OSError, ValueError) as error:
            failed.append(f"model {one.name!r}: {error}")
            continue
        manifest = read_manifest(folder)
        click.echo(
            f"{one.name}: prepared in {time.monotonic() - started:.0f} s as {manifest.precision}, "
            f"{folder}\n  {describe(manifest.parity)}"
        )
    if failed:
        raise Negative("\n".join(failed))


def _look(config: Config, config_path: Path) -> list[ModelFiles]:
    from sidecar.models.inventory import list_models

    return list_models(config.main.models, config_path.parent, _cache(config, config_path))


def _cache(config: Config, config_path: Path) -> Path | None:
    return (config_path.parent / config.main.cache).resolve() if config.main.cache else None


def _as_object(one: ModelFiles) -> dict[str, Any]:
    manifest = one.manifest
    return {
        "name": one.name,
        "kind": one.model.kind,
        "source": one.model.source,
        "backend": one.model.backend,
        "files": str(one.prepared or one.source or "") or None,
        "prepared": one.prepared is not None if one.key else None,
        "precision": manifest.precision if manifest else None,
        "bytes": one.size,
        "parity": asdict(manifest.parity) if manifest else None,
        "problem": one.problem,
    }


def _print(one: ModelFiles) -> None:
    from sidecar.models.preparing.parity import describe

    if one.key is None:
        state = "needs no preparing"
    elif one.manifest is None:
        state = "not prepared; the next start does it, or: sidecar models prepare"
    else:
        state = f"as {one.manifest.precision}, {one.size / 1e6:.0f} MB"
    rows = [
        ("kind", one.model.kind),
        ("source", one.model.source),
        ("backend", one.model.backend),
        ("prepared", state),
        ("files", str(one.prepared or one.source or "none")),
    ]
    if one.manifest:
        rows.append(("ranks", describe(one.manifest.parity)))
    if one.problem:
        rows.append(("problem", one.problem))
    click.echo(one.name)
    for label, value in rows:
        click.echo(f"  {label:9}{value}")
