"""`sidecar init`: a first configuration, proposed from the indexes of a cluster."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from sidecar.commands.schema import build_schema
from sidecar.commands.terminal import Negative, Refused, run_loop

if TYPE_CHECKING:
    from sidecar.first_configuration.proposal import Access, Proposal

_LISTED = 40


@click.command()
@click.option(
    "--upstream",
    "url",
    required=True,
    metavar="URL",
    help="A node of the cluster, such as http://127.0.0.1:9200.",
)
@click.option(
    "--index",
    "names",
    multiple=True,
    metavar="NAME",
    help="Index, alias, data stream or pattern; repeat it for several. Default: all.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("config"),
    show_default=True,
    help="Where to write the files; nothing in it is overwritten.",
)
@click.option(
    "--username",
    metavar="NAME",
    help="Account of the cluster. The password is that in OPENSEARCH_PASSWORD, or asked for.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM file with the authority of an https node's certificate.",
)
@click.option("--insecure", is_flag=True, help="Accept any certificate; only for trying out.")
@click.option("--no-measure", is_flag=True, help="Take the default window and deadline.")
@click.option("--print", "printing", is_flag=True, help="Print the files, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the proposal, and write nothing.")
def init(
    url: str,
    names: tuple[str, ...],
    folder: Path,
    username: str | None,
    ca_file: Path | None,
    insecure: bool,
    no_measure: bool,
    printing: bool,
    as_json: bool,
) -> None:
    """Propose a configuration for the indexes of a cluster, and write it.

    Reads the mappings and up to 50 documents of each kind of index, and changes nothing there.
    Chooses title, body and labels by what the documents have in them. Lets the model read some of
    the documents for two seconds, for the window and the deadline. Exit status 1: no index is
    suitable; 2: the cluster cannot be read, or the files exist.

    Example: sidecar init --upstream http://127.0.0.1:9200 --index "docs-*"
    """
    # Imported here, so that `--help` does not wait for them.
    from sidecar.first_configuration.cluster_reading import ClusterUnreadable
    from sidecar.first_configuration.proposing import propose
    from sidecar.relay.tls import BadTlsFile

    dry = printing or as_json
    if not dry:
        _refuse_existing(folder)
    access = _read_access(url, username, ca_file, insecure)
    password = _read_password(username)
    given = [name for each in names for name in each.split(",") if name]
    console = Console(stderr=True)
    try:
        with console.status("") as status:
            proposal = run_loop(
                lambda: propose(
                    access,
                    password,
                    given,
                    measure=not no_measure,
                    prepare=not dry,
                    report=status.update,
                )
            )
    except (ClusterUnreadable, BadTlsFile) as error:
        raise Refused(str(error)) from None
    if as_json:
        click.echo(json.dumps(proposal.as_object(), indent=2))
    if not proposal.kinds:
        raise Negative(_say_nothing_found(proposal, given))
    if as_json:
        return
    files = _write_files(proposal)
    if printing:
        click.echo("\n".join(f"# ---- {name}\n{files[name]}" for name in _yaml_names(files)))
        return
    _check_files(files)
    _write(folder, files)
    _say_what_next(folder, proposal)


def _read_access(url: str, username: str | None, ca_file: Path | None, insecure: bool) -> Access:
    from pydantic import ValidationError

    from sidecar.config.main_file import Upstream
    from sidecar.first_configuration.proposal import Access

    try:
        upstream = Upstream(urls=(url,))
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        said = said.replace("upstream.username and password", "--username")
        raise Refused(f"--upstream: {said}") from None
    ca = str(ca_file.resolve()) if ca_file else None
    return Access(upstream.urls[0], username, ca, verify=not insecure)


def _read_password(username: str | None) -> str | None:
    """The password from the environment, or from a prompt; never from the command line."""
    from sidecar.first_configuration.proposal import PASSWORD_VARIABLE

    if username is None:
        return None
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    if not sys.stdin.isatty():
        raise Refused(f"--username {username}: set its password in {PASSWORD_VARIABLE}")
    return str(click.prompt(f"Password of {username}", hide_input=True, err=True))


def _refuse_existing(folder: Path) -> None:
    """Refuse a folder that has any file which would be written, or plans of another main file."""
    from sidecar.first_configuration.yaml_text import MAIN_SCHEMA, PLAN_SCHEMA

    candidates = [folder / "sidecar.yaml", folder / MAIN_SCHEMA, folder / PLAN_SCHEMA]
    existing = [path for path in candidates if os.path.lexists(path)]
    plans = folder / "plans"
    if plans.is_dir():
        existing += sorted(path for path in plans.iterdir() if path.suffix in (".yaml", ".yml"))
    elif os.path.lexists(plans):
        existing.append(plans)
    if existing:
        listed = ", ".join(map(str, existing[:_LISTED]))
        raise Refused(f"nothing is overwritten, and there is {listed}; choose another --folder")


def _write_files(proposal: Proposal) -> dict[str, str]:
    """The text of each file by its name in the folder."""
    from sidecar.first_configuration.yaml_text import (
        MAIN_SCHEMA,
        PLAN_SCHEMA,
        write_main_file,
        write_plan,
    )

    return {
        **{f"plans/{kind.plan}.yaml": write_plan(kind) for kind in proposal.kinds},
        MAIN_SCHEMA: json.dumps(build_schema("main"), indent=2) + "\n",
        PLAN_SCHEMA: json.dumps(build_schema("plan"), indent=2) + "\n",
        "sidecar.yaml": write_main_file(proposal),
    }


def _yaml_names(files: Mapping[str, str]) -> list[str]:
    return sorted((name for name in files if name.endswith(".yaml")), reverse=True)


def _check_files(files: Mapping[str, str]) -> None:
    """Read the files as `sidecar check` does, before any of them is in its place."""
    from sidecar.config_reading.config_files import ConfigError, read_config
    from sidecar.first_configuration.proposal import PASSWORD_VARIABLE

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, files)
        try:
            read_config(folder / "sidecar.yaml", {**os.environ, PASSWORD_VARIABLE: "checked"})
        except ConfigError as error:
            raise Refused(f"the proposal has mistakes, and was not written:\n{error}") from None


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Create the files, the main file last; if one cannot be created, none remains."""
    created: list[Path] = []
    try:
        (folder / "plans").mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = folder / name
            with path.open("x", encoding="utf-8") as file:
                created.append(path)
                file.write(text)
    except OSError as error:
        for path in created:
            path.unlink(missing_ok=True)
        raise Refused(f"{error.filename or folder}: {error.strerror or error}") from None


def _say_nothing_found(proposal: Proposal, given: list[str]) -> str:
    where = f" among {', '.join(given)}" if given else ""
    lines = [f"{proposal.access.url}: no suitable index{where}"]
    if not proposal.left_out:
        lines[0] += "; the cluster has no index yet, or the account may see none"
    return "\n".join([*lines, *_left_out(proposal)])


def _left_out(proposal: Proposal) -> list[str]:
    lines = [f"  {name}: {reason}" for name, reason in list(proposal.left_out.items())[:_LISTED]]
    more = len(proposal.left_out) - _LISTED
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _say_what_next(folder: Path, proposal: Proposal) -> None:
    from sidecar.first_configuration.proposal import PASSWORD_VARIABLE

    for kind in proposal.kinds:
        choice = kind.choice
        fields = [
            *([f"title {choice.title.name}"] if choice.title else ()),
            *(f"label {each.name}" for each in choice.labels),
            *(f"body {each.name}" for each in choice.bodies),
        ]
        routes = ", ".join(name for name, _ in kind.routes)
        click.echo(f"{folder / 'plans' / kind.plan}.yaml  for {routes}: {', '.join(fields)}")
    click.echo(f"{folder / 'sidecar.yaml'}  with {len(proposal.kinds)} plans")
    if proposal.left_out:
        click.echo("left out:")
        click.echo("\n".join(_left_out(proposal)))
    config = f"--config {folder / 'sidecar.yaml'}"
    steps = [
        f"sidecar check {config} --upstream",
        *(f"sidecar warm {config} --index '{kind.routes[0][0]}'" for kind in proposal.kinds),
        f"sidecar serve {config}",
    ]
    if proposal.access.username is not None:
        steps.insert(0, f"export {PASSWORD_VARIABLE}=...   # the password of the account")
    click.echo("\nnext, after you have read the files:")
    click.echo("\n".join(f"  {step}" for step in steps))
    click.echo("then let your application use port 9201 instead of OpenSearch's own")
