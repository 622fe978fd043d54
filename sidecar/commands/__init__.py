"""The longer commands of `sidecar`, one file for each; `sidecar/cli.py` registers them.

file              | what it is for
------------------+-----------------------------------------------------------------
terminal.py       | shared by all commands: the option --config, errors, the event loop
in_process.py     | starts the configured sidecar on free ports, for commands that need one
judged_queries.py | shared by `evaluate` and `tune`: index, queries, judgments, search body
ubi_indexes.py    | shared by `evaluate` and `tune`: searches and clicks in the cluster
both_orders.py    | shared by `evaluate` and `tune`: searches with and without the sidecar
evaluate.py       | `sidecar evaluate`
explain.py        | `sidecar explain`
tune.py           | `sidecar tune`
bench.py          | `sidecar bench`
warm.py           | `sidecar warm`: its options
warm_runs.py      | what `sidecar warm` does with an index and a model, and prints
models.py         | `sidecar models`
init.py           | `sidecar init`
kendra_index.py   | `sidecar kendra-index`
schema.py         | `sidecar schema`
config_diff.py    | `sidecar check --diff`
"""
