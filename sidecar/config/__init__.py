"""What the configuration may contain: declarations, without I/O.

main_file.py          the main file: listeners, upstream, limits, models, routes
addresses.py          addresses to listen on
models.py             `models`: a model, and the service behind a remote one
routes.py             `routes`: which index gets which plan or plans
adoption.py           `shadow_log` and `ubi`: what is written about searches
page.py               `ui`: the page at `/ui`
passage_store.py      `passage_store`: where vectors are stored, and who shares them
limits.py             `limits`: bounds for what clients may send
logs.py               `log`: what the log contains, and how its lines look
upstream_values.py    values of `upstream`: URLs of nodes, what search pipelines do
resigning.py          `upstream.resign`: signed requests to Amazon OpenSearch
kendra.py             `apis.kendra`: Query and Retrieve over an index
kendra_attributes.py  how fields of an index become Kendra's attributes
kendra_users.py       which users may see which documents, and how their tokens are verified
kendra_ranking.py     `apis.kendra_ranking`: Rescore and execution plans
ray.py                `ray`: how the models are served on Ray Serve
rerank.py             `apis.rerank`: Tencent's RunRerank and the common rerank APIs

`sidecar/config_reading/` reads the files and reports every mistake in them. Plan files are declared
in `pipelines/plan.py`.
"""
