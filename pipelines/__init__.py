"""The ranking core: hits in, a new order out. No I/O, no clock, no log.

      hits --> documents --> groups --> passages --> scoring --> fusion
                  |                                      ^
                  |                                   Scorer, the one seam to the models
                  +-- rescore.py calls them in this order

Each file imports only files above it in this table:

  errors.py            | what can go wrong, each cause with the one word that users see
  strict.py            | the base of all configuration: unknown keys are refused
  hits.py              | Hit: one entry of a search response, reduced to what ranking reads
  original_scores.py   | which hits stand apart by their original scores, and how far the others lie
                       | from one another
  texts.py             | texts made safe for tokenisers and ICU
  words.py             | what a word is, and the words of a text as numbers
  kendra_text.py       | how OpenSearch's Kendra plugin cuts texts, to the letter
  sentence_passages.py | the passage method `sentences`
  kendra_passages.py   | the passage method `kendra`
  passage_methods.py   | the list of passage methods, and what each must offer
  fusion_methods.py    | the fusion methods, and what each must offer
  plan.py              | Plan: everything that a plan's file may contain
  documents.py         | Document: a hit's title and body, as the plan picks them
  groups.py            | Group: documents that are ranked as one
  passages.py          | Passage: a short run of text, the only thing that a model reads
  lexical.py           | how well the words of texts match those of the query text
  passage_selection.py | the few passages of each group that a model reads
  scoring.py           | Scorer, and the way from scores of passages to one score per group
  fusion.py            | original order and model scores become one order, with its scores
  adding.py            | how stages add up, and what stands for what a stage did not read
  choosing.py          | the passages of a window that the models read
  reports.py           | what a rescoring did
  sure_pages.py        | when the first hits can no longer change, whatever is still read
  rescore.py           | the whole flow: choose the passages, then score and fuse stage by stage
  relevance.py         | how relevant the models find a hit, comparable between searches
  hit_details.py       | what a reader of a rescored hit may want to know
  measures.py          | how good a finished order is: nDCG, reciprocal rank, recall

A *score* is what a model gave, the *original score* what OpenSearch gave. A *rank* counts from 1, a
*position* from 0.
"""
