"""Certificates made for a test run stand up to strict verification."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.nodes.certificates import make_certificates
from tests.nodes.java import NotInstalled


def test_both_sides_verify_each_other(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed")
    make_certificates(tmp_path, ["node", "admin"])
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(tmp_path / "node.pem", tmp_path / "node.key")
    client = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    client.load_cert_chain(tmp_path / "admin.pem", tmp_path / "admin.key")
    for context in (server, client):
        context.verify_flags |= ssl.VERIFY_X509_STRICT

    def greet(end: socket.socket) -> None:
        with server.wrap_socket(end, server_side=True) as connection:
            certificate = connection.getpeercert()
            assert certificate is not None
            connection.sendall(repr(certificate["subject"]).encode())

    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    theirs.settimeout(30)
    thread = threading.Thread(target=greet, args=(theirs,))
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname="127.0.0.1") as connection:
            subject = connection.recv(1000).decode()
    finally:
        thread.join()
    expected = ((("organizationName", "tests"),), (("commonName", "admin"),))
    assert subject == repr(expected)


def test_missing_openssl_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match=r"install it \(Debian: openssl\)"):
        make_certificates(tmp_path, ["node"])
