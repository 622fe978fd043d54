"""An OpenSearch that is not there: a clear answer, in OpenSearch's own shape, and readiness."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from opensearchpy import ConnectionError as ClientConnectionError
from opensearchpy import OpenSearch, TransportError

from tests.running import request, running_sidecar


def test_searches_and_all_else_are_answered_502(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with running_sidecar(
        tmp_path, f"http://127.0.0.1:{port}", {"fused": {}}, {"docs": "fused"}
    ) as sidecar:
        plain = request(sidecar.proxy, "GET", "/_cat/indices")
        searched = request(
            sidecar.proxy, "POST", "/docs/_search", {"query": {"match": {"body": "kettle"}}}
        )
        ready = request(sidecar.api, "GET", "/readyz")
        healthy = request(sidecar.api, "GET", "/healthz")
        for response in (plain, searched):
            assert response.status == 502
            error = json.loads(response.body)
            assert error["status"] == 502
            assert error["error"]["type"] == "upstream_unavailable"
        assert ready.status == 503
        assert healthy.status == 200
        client = OpenSearch(f"http://{sidecar.proxy}", max_retries=0)
        try:
            client.info()
        except (TransportError, ClientConnectionError) as error:
            told = str(error)
        finally:
            client.close()
        assert "upstream_unavailable" in told
