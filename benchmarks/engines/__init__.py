"""One process for each engine: texts in, seconds and scores out, a line of JSON each way.

Engines are measured in alternation, each by itself: while one works, the others wait for a line,
and no engine's threads or settings reach another's.
"""
