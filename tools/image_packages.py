"""Prints the packages of the image that it runs in, as JSON; `make image-sbom` feeds it to one.

Needs nothing but Python and, for Debian's packages, dpkg. Each entry has a name and a version; a
Python package may have a license, and a Debian package has an architecture.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import distributions
from typing import Any


def python_packages() -> list[dict[str, str]]:
    """The packages that this interpreter can import."""
    found = {}
    for package in distributions():
        about: Any = package.metadata
        license_named = about.get("License-Expression", "")
        found[about["Name"]] = {
            "name": about["Name"],
            "version": package.version,
            "license": license_named,
        }
    return [found[name] for name in sorted(found)]


def debian_packages() -> list[dict[str, str]]:
    """The packages that dpkg installed; none in an image of another kind."""
    program = shutil.which("dpkg-query")
    if program is None:
        return []
    form = "${Package}\t${Version}\t${Architecture}\n"
    done = subprocess.run(
        [program, "--show", f"--showformat={form}"], check=True, stdout=subprocess.PIPE, text=True
    )
    keys = ("name", "version", "architecture")
    return [dict(zip(keys, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    print(json.dumps({"python": python_packages(), "debian": debian_packages()}, indent=1))
