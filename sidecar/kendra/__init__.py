"""The door of Amazon Kendra's search API, 2019-02-03: Query, Retrieve and SubmitFeedback.

OpenSearch indexes answer as Kendra indexes. A request goes down this table, its reply comes back
up.

  file or room       | what it is for
  -------------------+---------------------------------------------------------------
  door.py            | the door: built from `apis.kendra`, checks its indexes at the start
  handlers.py        | receives the HTTP request: operation, caller, index, errors
  operations.py      | the operations, and the shape of each one's input
  indexes/           | a Kendra index: its fields, its users, its hits as documents
  query_text/        | the query text: syntax, words, spelling
  asking/            | a parsed request, and its parts of the search body
  searches.py        | carries out Query and Retrieve
  upstream_search.py | one exchange with OpenSearch
  answering/         | from hits to result items: order, answers, excerpts, confidence
  tables/            | tables in the text of documents
  feedback.py        | SubmitFeedback
"""
