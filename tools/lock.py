"""Prints constraints.txt: the versions that a fresh environment resolves today.

    .venv/bin/python tools/lock.py > constraints.txt.new && mv constraints.txt.new constraints.txt

pip makes a dry run, so nothing is installed. The output has versions, and no addresses.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Resolve the project with all its extras and groups, and print one line a package."""
    report = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
            *("--ignore-installed", "--report", "-"),
            *("--group", "dev", "--group", "release", "--group", "weights"),
            *("-e", ".[aws,demo,onnx,otel,ray,sentence-transformers,valkey]"),
        ],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    found = [item["metadata"] for item in json.loads(report.stdout)["install"]]
    print("# Written by tools/lock.py (`make lock`); the versions that the tests are green with.")
    for package in sorted(found, key=lambda package: package["name"].lower()):
        if package["name"] != "rescore-sidecar":
            print(f"{package['name'].lower()}=={package['version']}")


if __name__ == "__main__":
    main()
