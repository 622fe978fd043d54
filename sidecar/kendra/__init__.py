"""Amazon Kendra's Query and Retrieve (`kendra`, 2019-02-03) over an OpenSearch index.

operations.py       every operation and its shape        handlers.py   who calls, errors
       | checked members                                      ^
request.py          what is asked, against the schema         |
       | reads with: attribute_filter, query_syntax (query_clauses, text_query), facets, sorting,
       | collapse, tuning, paging, spelling, token_words, user_context (user_tokens), schema
       | one search body, with faq.py and featured.py where they are configured
upstream_search.py  one exchange with OpenSearch
       | answers
found_documents.py  hits -> documents
       |
ranking.py          the plan's order by the core, and what the models said of each passage
       |
searches.py         carries both operations out
       | Query: query_reply.py                    Retrieve
       |   answers, faq, collapse, excerpts         excerpts.py: passages ranked together
       |   table_answers, table_excerpts <- text_tables <- html_tables, markdown_tables <- tables
       |   marking.py: highlights, word_terms
       |   confidence.py: scores -> buckets
items.py            result items, with ids of query_ids.py

feedback.py: SubmitFeedback. served_index.py: a configured index with its plan and account.
mapping_check.py and generated_config.py: the configuration against a live index, and from one.
"""
