"""How many cores this process may use, and how many processes share them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

WORKERS_VARIABLE: Final = "RESCORE_SIDECAR_WORKERS"
"""The environment variable with the number of workers that share the cores; 1 if it is unset."""


def usable_cores() -> int:
    """The cores of the process's affinity and of its control group, at least one."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):  # no limit: the file is absent, or its quota is "max"
        pass
    return max(cores, 1)
