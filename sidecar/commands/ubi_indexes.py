"""Shared by `evaluate --ubi` and `tune --ubi`: the options, and reading both indexes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidecar.commands.terminal import Refused
from sidecar.config.main_file import Config

if TYPE_CHECKING:
    from sidecar.evaluation.ubi import UbiRecords

Command = Callable[..., Any]

_OPTIONS = (
    click.option(
        "--ubi",
        is_flag=True,
        help="Use searches and clicks that are stored in the schema of User Behavior Insights.",
    ),
    click.option(
        "--ubi-queries",
        "ubi_queries",
        default="ubi_queries",
        show_default=True,
        help="Index of the searches.",
    ),
    click.option(
        "--ubi-events",
        "ubi_events",
        default="ubi_events",
        show_default=True,
        help="Index of the clicks.",
    ),
    click.option(
        "--ubi-action",
        "ubi_action",
        default="click",
        show_default=True,
        help="The action_name that counts as a click.",
    ),
)


def ubi_options(command: Command) -> Command:
    """Add the options that say where clicks are in the cluster."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_ubi_indexes(
    config: Config, folder: Path, queries: str, events: str, action: str
) -> UbiRecords:
    """Read both indexes with the sidecar's own account. Raises Refused; blocks."""
    from sidecar.cluster_client import open_blocking_client
    from sidecar.evaluation.ubi import EVENT_FIELDS, QUERY_FIELDS, read_ubi
    from sidecar.warming.index_reading import IndexReading, IndexUnreadable

    upstream = config.main.upstream
    try:
        with (
            closing(
                IndexReading(open_blocking_client(upstream, folder, 60), queries, QUERY_FIELDS)
            ) as searches,
            closing(
                IndexReading(open_blocking_client(upstream, folder, 60), events, EVENT_FIELDS)
            ) as actions,
        ):
            records = read_ubi(searches, actions, action)
    except IndexUnreadable as error:
        raise Refused(f"--ubi: {error}") from None
    if not records.searches:
        raise Refused(f"--ubi: {queries} has no searches with a query_id and hits")
    return records
