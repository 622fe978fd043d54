"""What lets operators adopt rescoring step by step, without knowledge of OpenSearch's API.

split.py            | which of a route's plans a caller gets
step_back.py        | leaves the order to OpenSearch while a plan fails or is slow
order_difference.py | how far two orders of the same hits differ
shadow_limits.py    | which searches are rescored in the shadow
shadow_log.py       | writes what shadows found to a file
interleaving.py     | mixes two orders by team draft
ubi_queries.py      | writes queries to OpenSearch's User Behavior Insights

`sidecar/opensearch/` calls these; they do not know it.
"""
