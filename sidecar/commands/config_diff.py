"""`sidecar check --diff`: what a reload would change."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import click

from sidecar.commands.terminal import Negative, Refused, read_configuration
from sidecar.config.main_file import Address, Config
from sidecar.reloading.differences import KeyChange, find_changes, shorten
from sidecar.reloading.effective_config import EffectiveConfig, describe_config

_SECONDS: Final = 10
_MOST_BYTES: Final = 64 << 20
_COLUMNS: Final = 80


def print_differences(config: Config, path: Path, source: str) -> None:
    """Print a line for each change from `source` to the configuration of the main file `path`.

    `source` is the api listener of a running sidecar, or a main file, or its folder. Raises
    Negative if one of the changes needs a restart, because a reload would be refused.
    """
    if source.startswith(("http://", "https://")):
        old = _read_running(source)
    else:
        old_path = Path(source)
        old_path = old_path / path.name if old_path.is_dir() else old_path
        old = describe_config(read_configuration(old_path), old_path.parent)
    changes = find_changes(old, describe_config(config, path.parent))
    for change in changes:
        click.echo("\n".join(_fit(change)))
    restarts = sum(change.needs_restart for change in changes)
    count = f"{len(changes)} change{'' if len(changes) == 1 else 's'}"
    if restarts:
        raise Negative(
            f"{count}; a reload would be refused: {restarts} of them "
            f"need{'s' * (restarts == 1)} a restart"
        )
    click.echo(
        f"{count}; a reload applies {'it' if len(changes) == 1 else 'them'}"
        if changes
        else "a reload would change nothing"
    )


def _fit(change: KeyChange) -> list[str]:
    """The change in one line, or in a line for the key and one for each value."""
    whole = str(change)
    if len(whole) <= _COLUMNS:
        return [whole]
    restart = " (needs a restart)" if change.needs_restart else ""
    values = {
        "added": ("", change.new),
        "removed": ("", change.old),
        "changed": ("from ", change.old, "to ", change.new),
    }[change.kind]
    lines = [f"{change.kind:8} {change.key}:{restart}"]
    for word, value in zip(values[::2], values[1::2], strict=True):
        lines.append(f"{'':9}{word}{shorten(value)}")
    return lines


def _trust_this_machine(url: str) -> ssl.SSLContext | None:
    """Without verification for an address of this machine, which a certificate seldom names."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not Address(parts.hostname or "", 0).is_loopback:
        return None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _read_running(url: str) -> EffectiveConfig:
    address = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}/config"
    try:
        with urlopen(address, timeout=_SECONDS, context=_trust_this_machine(url)) as answer:  # noqa: S310
            content = json.loads(answer.read(_MOST_BYTES))
        return EffectiveConfig(content["values"], {})
    except (URLError, OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"--diff {url}: no configuration of a running sidecar: {error}") from None
