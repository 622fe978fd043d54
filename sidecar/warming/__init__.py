"""`sidecar warm`: an index is read once, and the vectors of its passages are stored.

      index_reading   pages of the index's documents, out of one point in time
      progress        how far a run has come, on disk
      warming         documents -> passages -> vectors, and what it will cost

The command itself is `sidecar/commands/warm.py`.
"""
