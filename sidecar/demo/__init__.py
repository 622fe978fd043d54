"""The product tried out in one command: an OpenSearch, a judged collection, before and after.

`collection.py` reads what is bundled in `sidecar/sample/`, `index.py` says how it is indexed and
searched, `load.py` puts it into a cluster, `embedded.py` runs an OpenSearch to try it on,
`report.py` prints what came out. `demo.py` calls them in order.
"""
