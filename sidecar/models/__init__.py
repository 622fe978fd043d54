"""The models, behind the core's `Scorer` seam.

      Models.scorer(deadline)                 scorers.py: query text + texts in, scores out
          |                 \\
          |                  passage_store.py   vectors of passages already read (bi-encoders)
          |                  passage_files.py   the same, kept on disk over a restart
          v
      Schedule.run(...)                       scheduling.py: many searches, one thread a model
          v
      backends/                               what runs a model: blocking, knows no search

`loading.py` builds all of it from the configuration, once, at start; `sources.py` finds the
weights. Nothing here imports torch before a model is loaded.
"""
