"""From documents in OpenSearch's order to the result items of a Kendra reply.

This room may import the rooms tables, query_text, asking and indexes.

ranking.py           the plan's order, by the core, and the models' scores of each passage
page_orders.py       caches the order of a question for its further pages
confidence.py        turns scores into confidence buckets
text_passages.py     cuts passages and sentences out of a text, counted in token words
further_passages.py  further passages of long documents, for Retrieve
excerpts.py          the excerpt of a document, and the passages of Retrieve
faq_choice.py        chooses the QUESTION_ANSWER items
answer_sentences.py  which sentences can be an answer, and a short text around one
answers.py           chooses the answers: a sentence, or a row of a table
table_answers.py     finds the row and the cell of a table that answer the query
table_excerpts.py    chooses which rows and columns of a table are shown
word_terms.py        the terms that an index's analyzers make of words, cached
highlights.py        finds the words of the query in a text
marking.py           highlights titles, excerpts and answers
query_ids.py         ids of queries and results
items.py             writes one result item
query_reply.py       writes the whole reply to a Query
"""
