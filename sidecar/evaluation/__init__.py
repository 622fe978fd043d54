"""How good an order is, measured on judged queries: OpenSearch's own against the rescored one.

`files.py` opens what people bring, `judgments.py` and `queries.py` read it, `search_body.py`
makes a search of each query, `searching.py` sends them, `bootstrap.py` and `comparison.py` say
what came out, `report.py` shows it. Nothing here knows how the sidecar is started.
"""
