"""The front door for OpenSearch's own search API: what an intercepted search needs, and no more.

      a request's head and body                                the answer's body
            |                                                        |
      routes.find_route             whose plan is it?          search_response.read_hits
            |                                                        |  hits, with their spans
      search_request.read_search_request                       the new order
            |   SearchRequest, or Skip with a reason                 |
      search_request.widen_window                              search_response.splice_response
            |                                                        |
      the same bytes but for the page                          the same bytes in the new order

`search_parameters.py` decides which parameters of a search allow a new order, `source_filter.py`
whether the answer holds the text; `query_text.py` and `query_syntax.py` find what the user typed;
`json_spans.py` and `url_parameters.py` read both notations without losing the place of a value;
`skip_reasons.py` has a word for everything that is left alone. All of that is pure: bytes in,
values out. `search.py` is the whole of it for one search, `outcome.py` what became of it, and
`front.py` its place in the relay.
"""
