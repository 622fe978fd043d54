"""Calls of a service on a real socket: time, size, redirects, connections, TLS."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import DeadlinePassed, ModelFailed
from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.backends.base import CALL_DEADLINE
from sidecar.models.remote.service_client import ServiceClient
from sidecar.models.remote.service_tls import build_service_tls
from tests.sidecar.models.remote.service import running_service

ANSWER = {"said": 1}


def client(url: str, tls: ssl.SSLContext | None = None, seconds: float = 60) -> ServiceClient:
    return ServiceClient("m", f"{url}/x", "s3cret", tls, seconds, Metrics())


def ask(one: ServiceClient, most_bytes: int = 1000) -> Any:
    return one.ask({"text": "apple"}, most_bytes, lambda answer: answer)


@contextmanager
def dripping() -> Iterator[str]:
    """A server that begins an answer and goes on with a byte from time to time, without end."""
    stopped = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, closing(connection):
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
                while not stopped.wait(0.05):
                    connection.sendall(b" ")
            except OSError:
                return

    def accept() -> None:
        connection, _ = listener.accept()
        drip(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            thread.join()


def test_the_time_limit_is_for_the_whole_call() -> None:
    with (
        dripping() as url,
        closing(client(url, seconds=0.5)) as one,
        pytest.raises(ModelFailed, match="no answer within 500 ms"),
    ):
        ask(one)


def test_the_searchs_deadline_is_the_calls() -> None:
    with dripping() as url, closing(client(url)) as one:
        token = CALL_DEADLINE.set(time.monotonic() + 0.5)
        try:
            with pytest.raises(DeadlinePassed):
                ask(one)
        finally:
            CALL_DEADLINE.reset(token)


def test_connections_are_kept_and_calls_are_sent_once() -> None:
    with running_service(lambda *_: ANSWER) as service, closing(client(service.url)) as one:
        for _ in range(3):
            assert ask(one) == ANSWER
        assert (service.connections, len(service.calls)) == (1, 3)
        service.answer = lambda *_: 502
        with pytest.raises(ModelFailed, match="status 502"):
            ask(one)
        assert len(service.calls) == 4


def test_a_redirect_is_not_followed_and_a_long_answer_is_not_read() -> None:
    with running_service(lambda *_: 307) as service, closing(client(service.url)) as one:
        with pytest.raises(ModelFailed, match="status 307"):
            ask(one)
        service.answer = lambda *_: {"said": "x" * 2000}
        with pytest.raises(Exception, match="larger than 1000 bytes"):
            ask(one)


def test_an_own_authority_is_trusted_only_if_it_is_named(
    certificates: Path, tmp_path: Path
) -> None:
    keys = {"kind": "bi-encoder", "source": "far", "backend": "remote", "api": "tei"}
    with tls_service(certificates) as url:
        for named, ok in (("ca.pem", True), (None, False)):
            model = Model.model_validate(
                {**keys, "url": url, "ca_file": named and str(certificates / named)}
            )
            with closing(client(url, build_service_tls(model, tmp_path))) as one:
                if ok:
                    assert ask(one) == ANSWER
                else:
                    with pytest.raises(ModelFailed, match="ClientConnectorCertificateError"):
                        ask(one)


@contextmanager
def tls_service(certificates: Path) -> Iterator[str]:
    """A service that answers each connection once, with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    body = b'{"said": 1}'

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(65536)
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall(head.encode() + body)
            except OSError:
                plain.close()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
