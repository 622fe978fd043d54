"""The ranking core: hits in, a new order out. No I/O, no clock, no log, one await.

      hits --> documents --> groups --> passages --> scoring --> fusion
                  |                                      ^
                  |                                   Scorer, the one seam to the models
                  +-- rescore.py calls them in this order
      plan.py says how; measures.py judges a finished order; errors.py names what can go wrong.

The types, in the order they appear:

  type      | made by                | one of it is
  ----------+------------------------+--------------------------------------------------------
  Hit       | the front doors        | one entry of a search response, reduced to what ranking reads
  Document  | documents.read_documents | a hit's title and body, as the plan picks them
  Group     | groups.group_documents | documents that are ranked as one
  Passage   | passages.split_passages  | a short run of text; the only thing a model reads
  Ranked    | fusion.fuse            | a hit's position in the original order and its new score

Each file imports only files that stand before it. Words: a *score* is what a model gave, the
*original score* what OpenSearch gave; a *rank* counts from 1, a *position* from 0.
"""
