"""Several processes that serve the same two addresses, so that one host's cores all work.

The parent opens the listening sockets and hands them down, so every worker accepts from the same
queue: connections that wait while a worker dies are accepted by another one. With a socket of its
own for each worker (`SO_REUSEPORT`) the kernel would close those connections.

sharing.py   what the parent tells a worker, and how a worker reaches its parent
template.py  a process that loads what all workers need, and forks them
forking.py   the parent's end of that process
parent.py    starts the workers, watches and restarts them, forwards signals
siblings.py  a worker asks the others for their metrics and whether they are ready
"""
