"""`sidecar init`: proposes a first configuration for the indexes of a cluster.

The files in the order in which a proposal passes through them:

file               | what it is for
-------------------+------------------------------------------------------------------------
cluster_reading.py | reads from the cluster within bounds; words what goes wrong
index_families.py  | puts indexes of one kind together, and finds their route patterns
field_names.py     | what the names of fields say: titles, bodies, labels, codes
field_values.py    | lists the fields of a mapping, and describes the values of one field
field_choice.py    | chooses the title, the body and the labels, each with the reason
speed.py           | measures the model on this machine; window and deadline follow from it
proposal.py        | what is proposed: the whole, as data
proposing.py       | reads, chooses, measures: from a cluster to a proposal
yaml_text.py       | writes a proposal as the YAML files, with comments

Only requests that read are sent. The documents decide together with the mapping: a field named
`title` that holds numbers is no title.
"""
