"""A shim before a node: it keeps what is sent to the node, and cuts answers when told to."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase

from tests.nodes.node import Node
from tests.raw_http import read_response


class Shim(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1; requests have a Content-Length or no body."""

    daemon_threads = True

    def __init__(self, node: Node) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.node = node
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[bytes] = []
        """Every request that the node got, in order."""

        self.cut_after: int | None = None
        """Of the next answer only so many bytes are passed on; then the connection closes."""

    def fields(self, name: str) -> list[str | None]:
        """The value of a field in each request; None where it is missing."""
        pattern = re.compile(rb"(?im)^%s:[ \t]*([^\r]*)\r$" % name.encode())
        found = (pattern.search(raw.partition(b"\r\n\r\n")[0] + b"\r") for raw in self.requests)
        return [match[1].decode() if match else None for match in found]


class _Connection(socketserver.StreamRequestHandler):
    server: Shim

    def handle(self) -> None:
        node = self.server.node
        with (
            socket.create_connection((node.host, node.port), 60) as upstream,
            upstream.makefile("rb") as answers,
        ):
            while request := _read_request(self.rfile):
                self.server.requests.append(request)
                upstream.sendall(request)
                answer = read_response(answers, request.split(b" ", 1)[0])
                cut, self.server.cut_after = self.server.cut_after, None
                self.wfile.write(answer.raw[:cut])
                if cut is not None:
                    return


@contextmanager
def running_shim(node: Node) -> Iterator[Shim]:
    """A shim in a thread of its own."""
    with Shim(node) as shim:
        thread = threading.Thread(target=shim.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield shim
        finally:
            shim.shutdown()
            thread.join()


def _read_request(stream: BufferedIOBase) -> bytes:
    """One request, or nothing when its sender has gone."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    length = re.search(rb"(?im)^content-length:[ \t]*(\d+)", head)
    return head + stream.read(int(length[1]) if length else 0)
