"""Arrays in files that are mapped into memory: processes that map the same file share one copy.

A mapped file must keep its bytes: reading a part that is gone ends the process. On a local disk a
file that another process deletes stays until nobody maps it. On a network's disk another machine
may take it away, so files there are not mapped.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

_LOCAL: Final = frozenset(
    ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs")
)
_ESCAPE: Final = re.compile(rb"\\(\d{3})")
_MOUNTS: Final = Path("/proc/self/mountinfo")
# The fixed part of a member's head in a zip file: the lengths of the name and of the extra field
# are its last two numbers.
_ZIP_HEAD: Final = struct.Struct("<26xHH")


def can_be_mapped(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether a file or folder is on a disk of this machine; False if that is not known."""
    try:
        place = os.fsencode(os.path.realpath(path))
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return False
    best, kind = b"", b""
    for line in lines:
        # Source: proc_pid_mountinfo(5). The fifth field is the mount point, in which a blank is
        # written as \\040; the type follows " - ".
        fields, _, rest = line.partition(b" - ")
        point = _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), fields.split(b" ")[4])
        inside = place == point or place.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split(b" ")[0]
    return kind.decode(errors="replace") in _LOCAL


def map_array(file: IO[bytes], name: str) -> NDArray[Any]:
    """An array of an open file that `np.savez` has written, read-only.

    Raises ValueError, KeyError or zipfile.BadZipFile if it has no such array. The bytes are not
    checked; `np.load` does that.
    """
    with zipfile.ZipFile(file) as archive:
        member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    file.seek(member.header_offset)
    lengths = _ZIP_HEAD.unpack(file.read(_ZIP_HEAD.size))
    file.seek(member.header_offset + _ZIP_HEAD.size + sum(lengths))
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} has another version")
    shape, by_columns, kind = np.lib.format.read_array_header_1_0(file)
    if by_columns or kind.hasobject:
        raise ValueError(f"{name} has another form")
    if not all(shape):
        return np.empty(shape, kind)
    # As a plain array: each use of a part of a memmap would make one again, which takes time.
    return np.memmap(file, kind, "r", file.tell(), shape).view(np.ndarray)
