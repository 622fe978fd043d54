"""Measurements of speed, side by side with others: `make bench`, or `python -m benchmarks`.

__main__.py     runs the parts in order, stores their figures, writes docs/benchmarks.md
figures.py      the result of a part: tables, bars, spreads
document.py     the page, from the figures of all parts

cores.py        how much the cores of this machine do together
models.py       (a) a model alone, beside sentence-transformers, FlashRank and ONNX Runtime
weights.py          the weights that all of them run; engines/ one process for each
starting.py     start and memory of the serving process
searches.py     (b) rescored searches over a real OpenSearch: direct, cold, warm, page 2, cascade
beside.py       (d) relayed requests beside rescorings and bulk requests
cluster.py, serving.py, texts.py    the node, the sidecar and the texts that these use
passing.py      (c) pass-through beside nginx, by relay.py
capacity.py     what larger installations need, computed from the stored figures
outgrow.py      one sidecar, with Ray Serve, and two with a store: a table in docs/scaling.md
warm_path.py    (f) one warm search inside the sidecar, step by step, without a network
cold.py         (g) cold searches with the shipped deadline, and a long tail of new queries
long_tail.py        a longer tail, of 10,000: writes docs/long-tail.md
growing.py      (e) larger windows, more passages, a fuller store
shadow.py       (h) what a shadow plan adds to the answer
overload.py     (j) the deadline when searches come faster than they can be served
workers.py      (k) searches a second by the number of workers
engine_forms.py     other ways to compute the same model, one change at a time
graph_variants.py       the changes of its graph
filling.py      (i) how fast `sidecar warm` reads passages, beside sentence-transformers

quality.py              what rescoring does to the order: writes docs/quality.md
quality_cold.py, quality_kendra.py, quality_report.py    its parts, and its page
judged_collections.py   the collections that it reads
hybrid_scores.py        how much both orders count in windows of `hybrid` queries
student.py              what a cold search has of a warm one's gain: writes docs/students.md
student_report.py           its page
student_time.py             how long a student's estimates take
sure_pages.py           when a page needs no more reading: writes docs/sure-pages.md
sure_pages_report.py        its page

kendra_answers.py       what a person sees who asks the Kendra API: writes docs/kendra-answers.md
kendra_answers_data.py      its documents and questions, and what their licences allow
kendra_answers_report.py    its page

`engine_forms.py`, `hybrid_scores.py`, `kendra.py`, `kendra_answers.py`, `long_tail.py`,
`outgrow.py`, `quality.py`, `student.py`, `student_time.py`, `relay.py`, `rescore_forms.py`,
`first_configuration.py`, `sure_pages.py` and `warm_path.py` can be run alone.
"""
