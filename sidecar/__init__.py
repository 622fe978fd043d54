"""Rescore Sidecar: the network shell around the ranking core in `pipelines/`.

      applications                                   SDKs, rerank clients, Prometheus
           | proxy listener: bytes                          | api listener: aiohttp
   +-------v------------------------------------+-----------v----------------------------+
   | relay/        heads, framing, connections, | api_listener.py                        |
   |    |          the pool of upstream ones    |   kendra_ranking/  Rescore and plans   |
   |    | a search that has a route             |   rerank/          Tencent, Cohere,    |
   |    v                                       |                    Jina, Voyage, TEI   |
   | opensearch/   read the request, widen its  |   web/             health, metrics     |
   |    |          window, read the hits,       |        |                               |
   |    |          splice the new order back    |        | documents: document_scoring.py|
   |    | hits                                  |        |                               |
   |    v                                       |        v                               |
   | pipelines/    documents, groups, passages, scores, fusion                           |
   |    | texts (the Scorer seam)                                                        |
   |    v                                                                                |
   | models/       scorers, scheduling, passage vectors, backends/                       |
   +-------------------------------------------------------------------------------------+

`config.py` and `config_*.py` are what people may write, `config_files.py` reads it, `metrics.py`
names every metric. `aws_json.py`, `aws_shapes.py` and `sigv4.py` are what AWS's services share.
`app.py` alone knows all of them and wires them; `cli.py` starts it. `demo/` is the product tried
out in one command, on the collection bundled in `sample/`.

Rescoring fails open: whatever goes wrong, the search returns OpenSearch's own order, with a
reason. Configuration fails closed: a mistake stops the start.
"""
