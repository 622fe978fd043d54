"""Shows the product in one command: an OpenSearch, a judged collection, before and after.

file          | what it is for
--------------+-----------------------------------------------------------------
errors.py     | the demo's one error
collection.py | reads the collection in `sidecar/sample/`
index.py      | how the collection is indexed and searched
load.py       | loads it into a cluster
embedded.py   | runs an OpenSearch in memory
ray.py        | runs the model on Ray Serve
report.py     | prints the results
demo.py       | calls the files above in this order
"""
