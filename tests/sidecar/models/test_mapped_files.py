"""Arrays in files: what is mapped, and on which disks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.models.mapped_files import can_be_mapped, map_array

_LINE = "36 35 98:0 / {point} rw,noatime master:1 - {kind} /dev/root rw\n"


def mounts(folder: Path, *lines: tuple[str, str]) -> Path:
    file = folder / "mountinfo"
    file.write_text("".join(_LINE.format(point=point, kind=kind) for point, kind in lines))
    return file


@pytest.mark.parametrize(
    ("point", "kind", "local"),
    [("/data", "nfs4", False), ("/data", "ext4", True), ("/dat", "nfs4", True), ("/", "xfs", True)],
)
def test_the_innermost_mount_counts(tmp_path: Path, point: str, kind: str, local: bool) -> None:
    file = mounts(tmp_path, ("/", "overlay"), (point, kind))
    assert can_be_mapped(Path("/data/vectors"), file) is local


def test_names_with_blanks_and_unknown_disks(tmp_path: Path) -> None:
    file = mounts(tmp_path, ("/", "ext4"), ("/a\\040b", "fuse.sshfs"))
    assert not can_be_mapped(Path("/a b/c"), file)
    assert can_be_mapped(Path("/a"), file)
    assert not can_be_mapped(Path("/a"), tmp_path / "absent")


def test_arrays_are_those_of_the_file_and_read_only(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "codes": np.arange(12, dtype=np.int8).reshape(3, 4),
        "scales": np.array([0.5, 2.0], np.float32),
        "none": np.empty((0, 16), np.uint8),
    }
    path = tmp_path / "arrays.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with path.open("rb") as file:
        mapped = {name: map_array(file, name) for name in arrays}
    path.unlink()
    for name, array in arrays.items():
        assert mapped[name].dtype == array.dtype
        assert np.array_equal(mapped[name], array)
    with pytest.raises(ValueError, match="read-only"):
        mapped["codes"][0, 0] = 1


def test_what_cannot_be_mapped_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, codes=np.zeros(3, np.int8))
    with path.open("rb") as file, pytest.raises(ValueError, match="compressed"):
        map_array(file, "codes")
    np.savez(path, codes=np.zeros((2, 2), np.int8, order="F"))
    with path.open("rb") as file, pytest.raises(ValueError, match="form"):
        map_array(file, "codes")
    with path.open("rb") as file, pytest.raises(KeyError):
        map_array(file, "others")
