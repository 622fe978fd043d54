"""A long run of one sidecar in front of three nodes, while everything around it changes.

Started by `make soak ARGS='--minutes 60'`; writes docs/soak.md.

__main__.py   the command: starts all, ends all
sidecar.py    the process: its configurations, its reloads, what it uses of the system
clients.py    searches, pages, multi-searches, bulk writes, rerank calls, and clients that vanish
trouble.py    kills nodes and starts them again
results.py    what was counted and sampled, and what of it is a fault
page.py       the page
"""
