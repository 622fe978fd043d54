"""A plain OpenSearch node, with HTTP and without security."""

from __future__ import annotations

import http.client
import os
from dataclasses import dataclass
from pathlib import Path

from tests.nodes.java import Jdk, choose_jdk, find_jdks
from tests.nodes.maven import resolve_class_path
from tests.nodes.process import START_SECONDS, NodeProcess, start_process

_POM = Path(__file__).with_name("pom.xml")


@dataclass(frozen=True, slots=True)
class Release:
    """A version of OpenSearch, and what it runs with."""

    version: str
    search_pipeline: str
    """Version of the module search-pipeline-common."""

    jdks: tuple[int, ...]
    """The Java releases it supports, the preferred one first."""

    plugins: tuple[str, ...] = ()
    """Classes of modules that the runner does not load by itself."""


OPENSEARCH_3 = Release("3.8.0", search_pipeline="3.8.0", jdks=(25, 21, 24, 23, 22))
# Maven Central has no search-pipeline-common 2.19.1; the next patch release fits. The runner for
# OpenSearch 3 loads it unasked, as it is on the class path.
OPENSEARCH_2 = Release(
    "2.19.1",
    search_pipeline="2.19.2",
    jdks=(17, 21, 11),
    plugins=("org.opensearch.search.pipeline.common.SearchPipelineCommonModulePlugin",),
)


class Node:
    """A running node; `start_node` makes it, `stop` ends it."""

    def __init__(self, version: str, process: NodeProcess) -> None:
        self.version = version
        self.host = process.host
        self.port = process.port
        self.url = f"http://{self.host}:{self.port}"
        self.log = process.log
        self.pid = process.pid
        self.stop = process.stop

    def __repr__(self) -> str:
        return f"<OpenSearch {self.version} at {self.url}, log {self.log}>"


def start_node(release: Release, folder: Path, *, optimised: bool = False) -> Node:
    """Start a node with its data and log in `folder`, and return when it answers searches.

    `optimised`: with Java's optimising compiler, as operators run it, for measurements.
    Raises `NotInstalled` without Java or Maven, and RuntimeError with the log's end where the
    node does not start.
    """
    name = f"OpenSearch {release.version}"
    jdk, class_path = find_programs(release)
    process = start_process(
        name,
        jdk,
        class_path,
        release.plugins,
        folder,
        _wait_until_usable,
        optimised=optimised,
    )
    return Node(release.version, process)


def find_programs(release: Release) -> tuple[Jdk, list[Path]]:
    """The JDK and the class path of a node; raises `NotInstalled` without Java or Maven."""
    jdk = choose_jdk(find_jdks(os.environ), release.jdks)
    versions = {
        "opensearch.version": release.version,
        "search.pipeline.version": release.search_pipeline,
    }
    return jdk, resolve_class_path(f"OpenSearch {release.version}", _POM, versions, jdk.home)


def _wait_until_usable(node: NodeProcess) -> None:
    """Let the node itself say when its cluster is formed."""
    connection = http.client.HTTPConnection(node.host, node.port, timeout=START_SECONDS + 5)
    try:
        connection.request(
            "GET", f"/_cluster/health?wait_for_status=yellow&timeout={START_SECONDS}s"
        )
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise RuntimeError(f"its health is {response.status} {body.decode()}")
