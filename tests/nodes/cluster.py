"""A cluster of three OpenSearch nodes, each a process of its own that can be killed."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.nodes.node import OPENSEARCH_3, find_programs
from tests.nodes.process import START_SECONDS, NodeProcess, start_process

NAMES = ("n1", "n2", "n3")
_HEAP_MB = 384


class Cluster:
    """Three running nodes; `start_cluster` makes it, `stop` ends it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jdk, self._class_path = find_programs(OPENSEARCH_3)
        self._nodes: dict[str, NodeProcess] = {}

    @property
    def urls(self) -> list[str]:
        """The nodes' URLs, in the order of NAMES; a node keeps its own over a restart."""
        return [f"http://{node.host}:{node.port}" for node in map(self._nodes.get, NAMES) if node]

    def start(self, name: str) -> None:
        """Start a node, or one that was killed: at its old address and with its data."""
        before = self._nodes.get(name)
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        settings = {
            "node.name": name,
            "discovery.type": "zen",
            # Every port is chosen by the system, so the nodes are told of one another afterwards.
            "discovery.seed_providers": "file",
            "discovery.initial_state_timeout": "0s",
            "cluster.initial_cluster_manager_nodes": ",".join(NAMES),
            "http.port": str(before.port) if before else "0",
        }
        self._nodes[name] = start_process(
            f"OpenSearch {OPENSEARCH_3.version}, node {name}",
            self._jdk,
            self._class_path,
            OPENSEARCH_3.plugins,
            folder,
            lambda _: None,
            settings,
            _HEAP_MB,
        )

    def join(self) -> None:
        """Tell every node where all of them are, and wait until they are one green cluster."""
        addresses = "\n".join(node.transport_address for node in self._nodes.values())
        for name in NAMES:
            config = self._folder / name / "node_1" / "config"
            config.mkdir(parents=True, exist_ok=True)
            (config / "unicast_hosts.txt").write_text(addresses + "\n", encoding="ascii")
        node = self._nodes[NAMES[0]]
        connection = http.client.HTTPConnection(node.host, node.port, timeout=START_SECONDS + 5)
        target = "/_cluster/health?wait_for_nodes=3&wait_for_status=green"
        try:
            connection.request("GET", f"{target}&timeout={START_SECONDS}s")
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise RuntimeError(f"the cluster's health is {response.status} {body.decode()}")

    def kill(self, name: str) -> None:
        """End a node as a crash does."""
        self._nodes[name].kill()

    def stop(self) -> None:
        """End all nodes; may be called again."""
        for node in self._nodes.values():
            node.stop()


def start_cluster(folder: Path) -> Cluster:
    """Start the nodes with their data and logs in `folder`; return when they are one cluster.

    Raises `NotInstalled` without Java or Maven, and RuntimeError where a node does not start.
    """
    cluster = Cluster(folder)
    try:
        with ThreadPoolExecutor(len(NAMES)) as threads:
            list(threads.map(cluster.start, NAMES))
        cluster.join()
    except BaseException:
        cluster.stop()
        raise
    return cluster
