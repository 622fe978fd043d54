"""The query text: Kendra's query syntax, the OpenSearch query it becomes, and spelling.

file             | what it is for
-----------------+--------------------------------------------------------------
token_words.py   | the words that count, and the cut after the last of them
query_syntax.py  | parses a text: operators, parentheses, phrases, clauses, words
query_clauses.py | clauses such as `field:value`, and wildcards, as OpenSearch filters
text_query.py    | a parsed text as an OpenSearch query
spelling.py      | suggested corrections
"""
