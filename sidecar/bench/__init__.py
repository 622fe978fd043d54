"""`sidecar bench`: how fast the sidecar is on this machine, without a cluster.

file         | what it is for
-------------+-----------------------------------------------------------------
texts.py     | an endless supply of documents, made of the bundled sample's sentences
stand_in.py  | a process that plays OpenSearch and the applications, and takes the times
measuring.py | measures one plan: loads its models, then runs cold and warm searches
machine.py   | describes the machine
report.py    | prints the results as a table
"""
