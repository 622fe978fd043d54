"""The relay: HTTP/1.1 from clients to OpenSearch and back, as bytes, on asyncio protocols.

      client                                                             OpenSearch
          |                                                                  ^
   client_connection.py   one request after another, in order                |
          |                                                                  |
          +-- Front.takes(head) is None --> forwarded_request.py --+         |
          |   (nearly all requests)         streams both ways      |         |
          |                                      ^                 v         |
          |                      Forward(add)    |        upstream_connection.py
          |                                      |                 ^
          +-- a Take ----> taken_request.py -----+                 |
              (a search)   whole body, then Take(request)     upstream_pool.py
                                | Answer                           ^
                                v                                  |
                           to the client         Take --> exchange()

The files, in the order in which a reader should meet them:

  file                   | what it is for
  -----------------------+-----------------------------------------------------------------
  errors.py              | what can go wrong, and the JSON answer that the client then gets
  body.py                | framing: where a body ends; its bytes pass unchanged
  field_lines.py         | what a head's lines say, and which of them are forwarded
  heads.py               | heads of requests and responses: how they are read and written
  known_heads.py         | remembers the latest heads, so that each is parsed once
  content_coding.py      | gzip and deflate, for the few bodies that the sidecar reads
  front.py               | the interface to the front, which takes searches out of the stream
  counts.py              | the relay's metrics
  client_limits.py       | what one client may use, and all clients together
  descriptors.py         | the limit of open files: how it is raised, its reserve, shortages
  silence_timer.py       | a time-out on silence, without a timer for each request
  keep_alive.py          | TCP keep-alive, which detects a peer that vanished
  upstream_connection.py | one connection to a node: one request at a time, and its answer
  upstream_node.py       | one node: its connections, and whether it gets requests
  tls.py                 | the TLS settings, towards the nodes and for the listeners
  upstream_pool.py       | chooses a node and a connection for each request; whole exchanges
  serving.py             | what a request is served with, from its begin to its end
  shared.py              | what all client connections of a listener share
  forwarded_request.py   | one request on its way to OpenSearch, and its answer on the way back
  taken_request.py       | one request that the front answers
  client_ending.py       | how a client's connection ends
  client_connection.py   | one client's connection: pipelining, back-pressure, closing
  admission.py           | decides which new connections are accepted
  acceptor.py            | the listening sockets, which accept a few connections at a time
  listener.py            | start, stop, drain

Rules of the relay:

- It forwards header lines unchanged, except those that concern one connection only.
- Bodies keep their framing and coding.
- It adds no field but `Connection`, `X-Forwarded-For` if configured, and what the front asks for.
- It sends nothing twice.
- One turn of the event loop examines only a small part of what a client or a node sends, and leaves
  the rest for later turns. The work grows linearly with the bytes.
"""
