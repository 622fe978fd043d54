"""Passage vectors that several sidecars share in a Valkey or Redis server.

  values.py          | keys and values: what the server stores, and the check of each value
  connecting.py      | the client of the server
  shared_vectors.py  | reads vectors in time for a search, and writes new ones in the background

The local store stays in front. The server is asked once for the passages of a window that the
local store lacks, and a search waits for the answer for `passage_store.timeout_ms`. The server
stores no text. A search never fails because of the server.
"""
