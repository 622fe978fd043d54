"""The page at `/ui` on the api listener: compare two orders, see why, tune a plan, judge.

The page itself is in `static/`: HTML, CSS and ES modules without a build step. It keeps the user's
OpenSearch account in its own session and sends it with each request; nothing here stores it. All
that the page computes again (fusion, measures) is in `static/`, too.

file             | what it is for
-----------------+------------------------------------------------------------------
refusals.py      | why a request of the page is refused
gate.py          | who may call: key, host, origin
static_files.py  | the page's own files, compressed, with their headers
requests.py      | reads what the page asks
reason_fixes.py  | what to do about each reason of `X-Rescore`
recording.py     | records the steps of one search
hit_texts.py     | what the page shows of a hit's `_source` and of a passage
window_parts.py  | the scores of a rescored window, from which the page fuses again
page_search.py   | carries out one search with a plan, or without
plan_texts.py    | the plans and their YAML
lists.py         | query lists and judgments in common formats
links.py         | the page's address with a comparison in it
collection.py    | a judged collection that a command offers to the page
live_samples.py  | what the metrics counted in the last hour
handlers.py      | the paths under `/ui/api`
door.py          | the door that `sidecar/app.py` lists
"""
