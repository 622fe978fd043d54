"""A Kendra index: the OpenSearch index behind it, its fields, its users, and its hits as documents.

file                | what it is for
--------------------+------------------------------------------------------------------
served_index.py     | a configured index with its plan, its account and its token reader
schema.py           | the index's attributes, and their values in hits
found_documents.py  | OpenSearch's hits as documents
user_context.py     | the caller, and the filter for the documents that they may see
user_tokens.py      | verifies user tokens, and reads the caller from them
mapping_check.py    | compares the configuration with the OpenSearch index's mapping
generated_config.py | guesses a first configuration from a mapping and some documents
"""
