"""The relay: HTTP/1.1 from applications to OpenSearch and back, as bytes, on asyncio protocols.

      application                                                        OpenSearch
          |                                                                  ^
   client_connection.py   one request after the other, in order              |
          |                                                                  |
          +-- Front.takes(head) is None --> forwarded_request.py --+         |
          |   (nearly everything)           streams both ways      |         |
          |                                      ^                 v         |
          |                      Forward(add)    |        upstream_connection.py
          |                                      |                 ^
          +-- a Take ----> taken_request.py -----+                 |
              (a search)   whole body, then Take(request)     upstream_pool.py
                                | Answer                           ^
                                v                                  |
                           to the client         Take --> exchange()

In the order one meets them:

  file                   | what it is for
  -----------------------+-----------------------------------------------------------------
  errors.py              | what can go wrong, and the JSON that an application gets then
  body.py                | framing: where a body ends, while its bytes go through untouched
  field_lines.py         | what a head's lines say, and which go on
  heads.py               | request and response heads: read, and written on
  known_heads.py         | heads that were read of late, which are not read again
  content_coding.py      | gzip and deflate, for the few bodies that are read
  front.py               | the seam to the front door that takes searches out of the stream
  counts.py              | the relay's metrics, bound once
  silence_timer.py       | a time-out on silence, free of timers per request
  keep_alive.py          | how a peer that vanished is noticed
  upstream_connection.py | one connection to a node: one request at a time, its answer
  upstream_node.py       | one node: its connections, and whether it is left out
  tls.py                 | the TLS settings, towards nodes and of the listeners
  upstream_pool.py       | which node and connection a request gets; whole exchanges
  shared.py              | what all client connections of a listener use together
  forwarded_request.py   | one request on its way up, and its answer on the way back
  taken_request.py       | one request that is handed to the front
  client_connection.py   | one application's connection: pipelining, back-pressure, closing
  listener.py            | start, stop, drain

Rules of the relay: header lines are forwarded as they came, without those that are meant for
one connection only; bodies keep their framing and coding; no field is added but `Connection`,
`X-Forwarded-For` where it is configured, and what the front asks for; nothing is sent twice.
"""
