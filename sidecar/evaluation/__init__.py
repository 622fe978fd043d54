"""Measures how good an order is on judged queries: OpenSearch's own order and the rescored one.

Nothing here knows how the sidecar is started.

  file             | what it is for
  -----------------+-----------------------------------------------------------------
  files.py         | opens the files that users bring
  judgments.py     | reads relevance judgments
  queries.py       | reads query sets and joins them with the judgments
  impressions.py   | reads what users saw and clicked (`tune`)
  click_judgments.py | turns clicks into judgments (`tune`)
  ubi.py           | reads searches and clicks from the cluster (`tune`, `evaluate`)
  asked_queries.py | the query texts that people ask, for `sidecar warm`
  live_comparison.py | compares plans by users' clicks (`evaluate`)
  live_report.py   | shows that comparison (`evaluate`)
  search_body.py   | makes the search for each query
  searching.py     | runs the searches and reads their answers
  bootstrap.py     | the interval of a mean
  comparison.py    | compares both orders, per query and over all queries
  report.py        | shows a comparison
  explanation.py   | why each hit of one search has its rank (`explain`)
  offline.py       | runs variants of a plan over the same windows (`tune`)
  tuning.py        | chooses among the variants by cross-validation (`tune`)
  relevance_levels.py | learns what levels of relevance mean (`tune`)
  plan_file.py     | writes the chosen plan (`tune`)
  tuning_report.py | shows the choice (`tune`)
"""
