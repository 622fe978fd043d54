"""Reads the tables that stand in the text of a document, in HTML or in Markdown.

This room is pure and imports no other room. Answers are taken from the tables.

tables.py           what a table is: rows, cells, and the row that names the columns
html_tables.py      reads tables in HTML
markdown_tables.py  reads tables in Markdown
text_tables.py      finds all tables of a text, and caches them
"""
