"""How fast the sidecar is on this machine, without a cluster: `sidecar bench`.

texts.py        documents without end, made of the bundled sample's sentences
stand_in.py     a process that plays OpenSearch and the applications, and keeps the time
measuring.py    one plan: its models loaded anew, then cold and warm searches
machine.py      what all of it ran on
report.py       what was measured, as a table
"""
