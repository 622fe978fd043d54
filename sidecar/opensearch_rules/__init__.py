"""What OpenSearch itself accepts, for all code that reads or edits its requests.

limits.py           OpenSearch's default limits
name_patterns.py    names of fields and indexes with `*`
index_lists.py      the list of index names in a path
request_headers.py  which headers forbid editing a request
ext_sections.py     reads one section of a search's `ext`, and cuts it out
"""
