"""A parsed request, checked against the index's schema, and the search body that it becomes.

file                | what it is for
--------------------+-----------------------------------------------------------
request.py          | parses a whole Query or Retrieve, and writes its search body
attribute_filter.py | `AttributeFilter`, as OpenSearch filters
facets.py           | `Facets`, as aggregations, and their results
sorting.py          | `SortingConfiguration(s)`, as sort keys
collapse.py         | `CollapseConfiguration`, and the groups of results it makes
tuning.py           | relevance tuning, by the index and by the request
paging.py           | `PageNumber` and `PageSize`
featured.py         | the search for featured documents
faq.py              | the search for FAQ entries
"""
