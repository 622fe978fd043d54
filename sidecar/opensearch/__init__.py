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

Pure, bytes in and values out:

  search_parameters.py     which parameters of a search allow a new order
  source_filter.py         whether the answer holds the text that the plan reads
  filter_path.py           what `filter_path` leaves of the answer
  query_text.py            what the user typed; query_syntax.py reads Lucene's two notations
  json_spans.py            JSON without losing the place of a value; url_parameters.py the same
  text_fetch.py            a search for the text that the answer does not carry
  plugin_ext.py            the section of the Kendra plugin's applications, read and cut out
  plugin_settings.py       the plugin's index settings, read and cut out
  multi_search_request.py  the lines of an `_msearch`
  node_addresses.py        the nodes' own addresses in the answers that sniffing clients ask for
  skip_reasons.py          a word for everything that is left alone; outcome.py all the others

`search.py` is the whole of it for one search, `multi_search.py` for many in one request,
`search_template.py` for one that OpenSearch renders first; `exchange.py` is what they share on
the way to OpenSearch and back, and `front.py` their place in the relay. `plugin_settings_front.py`
takes the requests that change an index's settings, and `plugin_settings_file.py` keeps those of
the Kendra plugin, for `front.py` to heed.
"""
