"""Rescore Sidecar: the network shell around the ranking core in `pipelines/`.

      applications                                   SDKs, rerank clients, Prometheus
           | proxy listener: bytes                          | api listener: aiohttp
   +-------v------------------------------------+-----------v----------------------------+
   | relay/        heads, framing, connections, | api/  serves the doors:                |
   |    |          the pool of upstream ones    |   kendra_ranking/  Rescore and plans   |
   |    | a search that has a route             |   rerank/          Tencent, Cohere,    |
   |    v                                       |                    Jina, Voyage, TEI   |
   | opensearch/   read the request, widen its  |   kendra/          Query, Retrieve     |
   |    |          window, read the hits,       |   health.py        health, metrics     |
   |    |          splice the new order back    |        | documents: document_scoring.py|
   |    | hits                                  |        v                               |
   |    v                                       |                                        |
   | pipelines/    documents, groups, passages, scores, fusion                           |
   |    | texts (the Scorer seam)                                                        |
   |    v                                                                                |
   | models/       scorers, scheduling, passage vectors, backends/                       |
   +-------------------------------------------------------------------------------------+

Rescoring fails open: whatever goes wrong, a search returns OpenSearch's own order, with a reason.
Configuration fails closed: a mistake stops the start.

`docs/architecture.md` follows one search through these files. Every file and package here:

file or package     | what it is for
--------------------+--------------------------------------------------------------------------
cli.py              | the command line
commands/           | the longer commands, one file each
app.py              | creates all parts, opens and closes them; the only file that knows them all
fronts.py           | builds the fronts that serve the proxy listener
                    |
config/             | what the configuration may say: declarations
config_reading/     | reads the configuration's files, and reports every mistake in them
cluster_client.py   | the sidecar's own clients for the cluster
upstream_check.py   | compares the configuration with the cluster
pipeline_check.py   | compares the configuration with the cluster's search pipelines
                    |
relay/              | the proxy listener: forwards HTTP as bytes
opensearch/         | the front for OpenSearch's search API
adoption/           | helps to adopt rescoring step by step
opensearch_rules/   | rules of OpenSearch that several parts follow
kendra_plugin/      | what clients of OpenSearch's Kendra plugin send
resigning/          | verifies and signs requests for Amazon OpenSearch
spans/              | reads JSON and URLs together with the place of each value
passage_cutter.py   | cuts documents into passages, and remembers the passages
bounded_cache.py    | values in memory, within a bound; the oldest ones go first
expiring_cache.py   | the same, whose values expire and belong to owners; workers find each other's
halves_cache.py     | the same without a lock for lookups, in two halves
                    |
api/                | the api listener: serves doors on one address
aws/                | what the doors for AWS services share
page/               | door: the page at `/ui`
kendra/             | door: Amazon Kendra's search API
kendra_ranking/     | door: Amazon Kendra Intelligent Ranking
rerank/             | door: Cohere, Jina, Voyage, TEI, Infinity, vLLM, Tencent RunRerank
health.py           | door: health, readiness, metrics
token_bucket.py     | limits the request rates of callers
document_scoring.py | documents in, scores out, for doors that only score
scoring_line.py     | admits their requests while there is time, and orders them
logits.py           | scores to logits, logits to relevance from 0 to 1
                    |
models/             | loads models and shares them between requests
warming/            | stores the passage vectors of an index in advance
metrics.py          | every metric
shared_store_metrics.py | metrics of passage vectors that sidecars share
tallied_metrics.py  | metrics of very frequent events
tracing/            | the steps of a request, and traces of them
log_output.py       | writes the log, as text or as JSON, and never blocks
reloading/          | replaces the configuration of a running sidecar
event_loop/         | keeps the event loop free, and notices when it is blocked
                    |
first_configuration/ | proposes a first configuration for a cluster
evaluation/         | measures an order on judged queries
bench/              | measures speed on this machine
demo/               | before and after on a judged collection, which is in `sample/`
ray/                | serves the models on Ray Serve, for other sidecars
workers/            | several processes that serve the same two addresses
process_secret.py   | a secret that the workers of one parent share
served_doors.py     | the doors of the api listener
cores.py            | how many cores there are, and how many processes share them
service_manager.py  | tells systemd the state of the service
screen.py           | tables and progress bars on a terminal
"""

import os

# No product of matrices here is large enough for two threads, and after each one, the idle threads
# of OpenBLAS spin for some 30 ms, on cores that the models need. numpy reads it when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
