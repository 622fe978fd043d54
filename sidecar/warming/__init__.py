"""Reads an index once and stores the vectors of its passages: `sidecar warm`.

  file                 | what it is for
  ---------------------+-----------------------------------------------------------------
  index_reading.py     | reads the index's documents, page by page, from one point in time
  changed_documents.py | reads only those that were written since the last run
  progress.py          | keeps on disk how far a run has come
  warming.py           | turns documents into stored vectors, and estimates the cost beforehand

The command itself is `sidecar/commands/warm.py`.
"""
