"""The configured models on Ray Serve, for sidecars whose models have `backend: remote`.

    sidecars --> Ray Serve's proxy --> replica.py --> answering.py --> batching.py --> models/
                                       a process of its own, on a group of cores

file          | what it is for
--------------+-----------------------------------------------------------------
__main__.py   | `python -m sidecar.ray`: serves on this machine
service.py    | starts a Ray of one machine, serves on it, and ends both
deployment.py | the Ray Serve application: replicas, autoscaling, bounds
replica.py    | one replica: its models, and HTTP requests
answering.py  | answers calls of the rerank and embedding APIs, within bounds
batching.py   | reads the texts of several calls together
"""

from sidecar.ray.deployment import application as application
