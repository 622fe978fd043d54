"""Notices that the configuration's files have changed.

The operating system tells of changes in the folders (watchfiles). What counts is a stamp of the
files that the configuration consists of: other files in the same folders cause no reload, and a
change that the system does not tell, as on a network disk, is noticed some seconds later. Symbolic
links are followed, so the swap of a link, as Kubernetes replaces a ConfigMap, is a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing
from pathlib import Path

import watchfiles

from sidecar.config.main_file import Config

_LOOK_MS = 3000
_SETTLE_MS = 200

Stamp = tuple[tuple[str, int, int, int] | None, ...]


def list_config_files(path: Path, config: Config) -> list[Path]:
    """The main file, its plans, and the certificates and keys that it names."""
    main, folder = config.main, path.parent
    names = [main.upstream.tls.ca_file]
    for tls in (main.listen_tls, main.api_tls):
        names += [tls.certificate_file, tls.key_file] if tls else []
    plans = folder / main.plans_folder
    found = sorted(plans.iterdir()) if plans.is_dir() else []
    return [path, plans, *found, *(folder / name for name in names if name)]


def read_stamp(files: Iterable[Path]) -> Stamp:
    """What changes whenever one of the files changes, or is replaced, or ends."""
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> tuple[str, int, int, int] | None:
    try:
        stat = file.stat()
        return str(file.resolve()), stat.st_ino, stat.st_size, stat.st_mtime_ns
    except OSError:
        return None


async def watch_files(
    path: Path, current: Callable[[], Config], changed: Callable[[], None]
) -> None:
    """Call `changed` after each change, until cancelled; `current` is the running configuration."""
    stamp = read_stamp(list_config_files(path, current()))
    while True:
        files = list_config_files(path, current())
        folders = {folder for file in files for folder in (file.parent, file.resolve().parent)}
        existing = sorted(folder for folder in folders if folder.is_dir())
        async with aclosing(
            watchfiles.awatch(
                *existing or [Path.cwd()],
                watch_filter=None,
                debounce=_SETTLE_MS,
                rust_timeout=_LOOK_MS,
                yield_on_timeout=True,
                recursive=False,
            )
        ) as changes:
            async for _ in changes:
                new = read_stamp(list_config_files(path, current()))
                if new != stamp:
                    stamp = new
                    changed()
                    break  # a folder may have been replaced, so watch anew
