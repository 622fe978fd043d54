"""Models behind a service: `backend: remote`.

    backends.py --> wires.py        texts to JSON, JSON to numbers
        |
    service_client.py --> the service

file               | what it is for
-------------------+---------------------------------------------------------------------
backends.py        | what a bi-encoder and a cross-encoder ask a service; connects to it at start
wires.py           | the JSON of each API, and strict checks of what comes back
service_client.py  | HTTP calls within a deadline; counts and logs each outcome
probes.py          | recognizes a model by its vectors of a few known texts
service_tls.py     | the certificate authority of an https service
"""
