"""Rescore Sidecar: the network shell around the ranking core in `pipelines/`.

      applications                                     Prometheus, operators
           | proxy listener: bytes                          | api listener: aiohttp
   +-------v------------------------------------------------v---------+
   | relay/        heads, framing, connections,     web/  health,     |
   |    |          the pool of upstream connections       metrics     |
   |    | a search that has a route                                   |
   |    v                                                             |
   | opensearch/   read the request, widen its window, read the hits, |
   |    |          splice the new order back into the bytes           |
   |    | hits                                                        |
   |    v                                                             |
   | pipelines/    documents, groups, passages, scores, fusion        |
   |    | texts (the Scorer seam)                                     |
   |    v                                                             |
   | models/       scorers, scheduling, passage vectors, backends/    |
   +------------------------------------------------------------------+

`config.py` is what people may write, `config_files.py` reads it, `metrics.py` names every metric.
`app.py` alone knows all of them and wires them; `cli.py` starts it. `demo/` is the product tried
out in one command, on the collection bundled in `sample/`.

Rescoring fails open: whatever goes wrong, the search returns OpenSearch's own order, with a
reason. Configuration fails closed: a mistake stops the start.
"""
