"""Environments of their own for other projects' servers, in the cache folder, each made once.

Such a server needs other versions of some libraries than this project. All others it takes from the
environment of the tests, so that they are not installed twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.sidecar.rerank.client_programs import NotInstalled, cache_folder


def python_with_packages(name: str, wanted: tuple[str, ...], *, compiled: bool = False) -> Path:
    """The Python of an environment with these packages. Raises NotInstalled with pip's last words.

    `compiled`: for a program whose many processes should not each compile what they import.
    It depends on the versions of this Python and of the packages, so another one gets a new folder.
    """
    recipe = "\n".join((sys.version, sysconfig.get_path("purelib"), *wanted))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    folder = cache_folder() / f"{name}-{digest}"
    done = folder / "done"
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            venv.create(folder, clear=True, with_pip=True)
            python = folder / "bin" / "python"
            version = f"python{sys.version_info.major}.{sys.version_info.minor}"
            own = folder / "lib" / version / "site-packages"
            # The packages of the tests come after the environment's own.
            (own / "zz_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
            pip = [str(python), "-m", "pip", "install", "--quiet", *wanted]
            pip += [] if compiled else ["--no-compile"]
            ran = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=280)
            if ran.returncode != 0:
                raise NotInstalled(f"pip could not install {wanted[0]}: {ran.stderr[-2000:]}")
            done.touch()
    return folder / "bin" / "python"
