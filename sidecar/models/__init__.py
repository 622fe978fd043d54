"""The models, behind the core's `Scorer` seam.

      query text, texts --> scorers.py --> scheduling.py --> backends/
                                |          one thread          what runs a model
             known passages:    |          per model
             passage_store.py <-+
                  |
             passage_keeping.py --> passage_files.py     on disk

`loading.py` builds all of this once, at start. Importing this package never imports torch.

  file                 | what it is for
  ---------------------+-----------------------------------------------------------------
  scorers.py           | query text and texts in, scores out: bi-encoders, and all loaded models
  search_scorer.py     | the models for one search, which knows its deadline
  pair_scorer.py       | the same for cross-encoders
  text_scorer.py       | what each kind of model does with texts
  query_vectors.py     | query texts are read while OpenSearch searches, and kept
  vectors.py           | checks what models answer, and compares vectors
  scheduling.py        | many searches share one thread per model
  passage_store.py     | passage vectors in memory
  mapped_files.py      | arrays in files that processes share
  mapped_vectors.py    | passage vectors that stay in their file, which processes share
  passage_files.py     | passage vectors on disk
  vector_files.py      | the file of the vectors themselves, in the form that faiss reads
  passage_keeping.py   | keeps the store and its files in step, also between processes
  shared_store/        | passage vectors that several sidecars share in a Valkey or Redis server
  students/            | estimate the scores of passages that a model has not read
  remote/              | calls a service that serves a model
  backends/            | run a model; they block, and know nothing about searches
  breaker.py           | stops calls to a server that fails, and tries again later
  sources.py           | finds a model's weights
  package_files.py     | lists the files of an installed package
  static_tables.py     | finds the files of a static model
  archives.py          | takes a model out of a jar or zip file
  known_models.py      | prompts and pooling of known models, where their files do not say them
  prepared.py          | the folders of prepared models, and their keys
  preparation.py       | finds a model's prepared folder, or starts the worker that makes it
  preparing/           | turns a published model into a graph
  ways.py              | the ways to compute a model on this processor, measured
  verdicts.py          | decides how a prepared model is computed on this processor, and loads it
  spreads.py           | how far a model's scores lie from one another
  prepared_backends.py | loads a prepared folder into a backend
  preloading.py        | loads models before the workers are forked, which then share their memory
  missing_library.py   | says which library is missing and how to install it
  inventory.py         | lists the files of the configured models without loading any model
  loading.py           | loads and warms up the configured models
"""
