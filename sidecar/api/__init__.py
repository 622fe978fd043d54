"""The api listener: one address on which doors answer, each for one external API.

doors.py         what a door is, what it is built from, and when it is served
listener.py      serves a list of doors on one address
root_service.py  doors that share the path `/`
server.py        the HTTP server: aiohttp with our connections
call_traces.py   a span for each call, if traces are exported
connection.py    one connection: time-outs and sizes that aiohttp lacks
request_body.py  reads request bodies within bounds
json_bodies.py   parses JSON bodies within bounds

The doors themselves are `sidecar/health.py`, `sidecar/page/`, `sidecar/kendra/`,
`sidecar/kendra_ranking/` and `sidecar/rerank/`.
"""
