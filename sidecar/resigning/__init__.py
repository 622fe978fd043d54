"""Signs requests anew for a managed OpenSearch (`upstream.resign`).

Every request of the proxy listener is verified first, and carries the sidecar's own signature then.

credentials.py   reads the sidecar's credentials and the clients' keys, again and again
signer.py        puts the sidecar's signature on a request
client_check.py  verifies who sent a request, and what of its head that sender has signed
front.py         the front before all others: verifies, lets the others work, and signs
own_calls.py     signs what the sidecar itself sends: exchanges, aiohttp and opensearch-py
"""
