"""Front door: the rerank APIs that other programs already call, answered by the local models.

      bearer_paths.py      /rerank, /v1/rerank, /v2/rerank      tencent_service.py   RunRerank at /
           | request.py reads, shapes.py chooses:                   | tencent.py reads, writes
           | cohere.py, jina.py, voyage.py,                         | tencent_signatures.py
           | infinity.py, tei.py write, one shape each              |
           +--------------------------+-----------------------------+
                                reranker.py    documents in, one logit each
                      sidecar/logits.py      what the number means
                                token_counts.py, usage.py, callers.py

`refusals.py` names every way a request is refused; each shape has its own words for them.
`door.py` builds what all of them share.
"""
