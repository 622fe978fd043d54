"""Certificates for one test run: an authority, and what it signs. Nothing is installed or kept."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.nodes.java import NotInstalled

_DAYS = "30"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

# For servers and for clients: a node is both to its like.
_EXTENSIONS = """\
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=DNS:localhost,IP:127.0.0.1
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


def make_certificates(folder: Path, names: Iterable[str]) -> None:
    """Make an authority and one certificate for each name, its subject `CN=NAME,O=tests`.

    Writes `ca.pem`, and NAME.pem and NAME.key (PKCS #8, without password) of each into `folder`,
    which must be empty. The names of the host are localhost and 127.0.0.1.
    Raises `NotInstalled` without the program openssl.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise NotInstalled(
            "the program openssl is needed to make certificates; install it (Debian: openssl)"
        )
    (folder / "extensions").write_text(_EXTENSIONS, encoding="ascii")

    def run(*arguments: str) -> None:
        result = subprocess.run(
            [openssl, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        if result.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(arguments)} failed:\n{result.stdout}")

    # Python's strict verification wants the key usage of an authority written out.
    authority = ("-days", _DAYS, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    subject = ("-subj", "/O=tests/CN=authority")
    run("req", "-x509", *_NEW_KEY, *authority, *subject, "-keyout", "ca.key", "-out", "ca.pem")
    for name in names:
        subject = ("-subj", f"/O=tests/CN={name}")
        run("req", *_NEW_KEY, *subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", _DAYS)
        extensions = ("-extfile", "extensions")
        run("x509", "-req", *signed, *extensions, "-in", f"{name}.csr", "-out", f"{name}.pem")
