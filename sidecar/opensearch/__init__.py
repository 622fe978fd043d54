"""The front for OpenSearch's search API: it rescores the searches of indexes that have a route.

    the request's head and body                              the body of OpenSearch's answer
            |                                                        |
    routes.read_search_call                                  search_response.read_search_response
            |  index names, plan                                     |  hits and their spans
    search_request.read_search_request                       the new order
            |  SearchRequest, or Skip with a reason                  |
    search_request.widen_window                              search_response.splice_response
            |                                                        |
    the same bytes except for the page                       the same bytes in the new order

The files, in the order to meet them:

  front.py                 | the front itself: takes searches, counts their outcomes
  routes.py                | which requests are searches, and which plan an index list gets
  search.py                | one search, from the request to the answer
  rescore_section.py       | what a search asks of the sidecar in `ext.rescore`; cuts it out
  ubi_section.py           | what a search says to User Behavior Insights in `ext.ubi`
  search_request.py        | reads a search request, and widens its window
  search_parameters.py     | which parameters of a search allow a new order
  url_options.py           | groups of OpenSearch's URL parameters
  source_filter.py         | whether the answer contains the fields that the plan reads
  filter_path.py           | what `filter_path` leaves in the answer
  own_order.py             | whether the scores are an order of their own, not a text relevance
  hybrid_query.py          | whether a `hybrid` query can be rescored, and its depth
  pipelines.py             | what search pipelines do, and which ones allow a new order
  default_pipelines.py     | learns the default search pipeline of the searched indexes
  query_text.py            | the words that the user typed
  query_syntax.py          | the words in Lucene's two query syntaxes
  skip_reasons.py          | the reasons to leave a search unchanged
  search_reports.py        | times of steps in the metrics, log lines, traces
  outcome.py               | what happened to a search: all reasons, the `X-Rescore` header
  exchange.py              | decodes and encodes bodies, and sends edited requests to OpenSearch
  widened_search.py        | sends the widened search and decides what an error means
  refusals.py              | reads OpenSearch's errors
  own_sources.py           | a search in two steps, for indexes with large documents
  search_response.py       | reads the hits of a response, and splices them in a new order
  known_sources.py         | sources of hits that were read before, by their own bytes
  answer_rescoring.py      | rescores the hits of a widened answer
  finish_time.py           | how much earlier than the deadline the models end
  scorer_in_turns.py       | the models as searches see them that share the event loop
  interleaved_rescoring.py | rescores a window with two plans, and mixes their orders
  page_edits.py            | what a page shows beside its new order
  text_fetch.py            | fetches the text that the client's answer does not contain
  multi_search.py          | an `_msearch`: many searches in one request
  multi_search_request.py  | reads the lines of an `_msearch`
  routed_items.py          | its items that have a route: widened, skipped, or shadows
  item_deadlines.py        | the time that each of its items has
  multi_search_answer.py   | reads the responses to its items and decides what follows
  shadow_search.py         | a search that is rescored after its answer, only to measure
  search_template.py       | a search by template, which OpenSearch renders first
  window_cache.py          | rescored windows in memory, for further pages
  window_order.py          | the order of a window without its hits
  callers.py               | digests of callers and of their searches
  ended_indexes.py         | which requests make cached windows invalid
  index_lessons.py         | what failed searches have shown about an index
  node_addresses.py        | a front that replaces node addresses for clients that sniff
"""
