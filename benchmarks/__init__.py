"""Measurements of speed, side by side with others: `make bench`, or `python -m benchmarks`.

__main__.py     runs the parts in order, keeps their figures, writes docs/benchmarks.md
figures.py      what a part gives back: tables, bars, spreads
document.py     the page, from the figures of all parts

cores.py        what the cores of this machine do together
models.py       (a) a model alone, beside sentence-transformers, FlashRank and ONNX Runtime
weights.py          the weights that all of them run; engines/ one process for each
starting.py     start and memory of the serving process
searches.py     (b) rescored searches over a real OpenSearch: direct, cold, warm, page 2, cascade
beside.py       (d) relayed requests beside rescorings and bulk requests
cluster.py, serving.py, texts.py    the node, the sidecar and the texts that these use
passing.py      (c) pass-through beside nginx, by relay.py
growing.py      (e) larger windows, more passages, a fuller store

`kendra.py`, `quality.py` and `relay.py` can be run alone.
"""
