"""One process for each engine: texts in, seconds and scores out, a line of JSON each way.

Engines are measured in turn: while one works, the others wait for a line. No engine's threads or
settings affect another engine.
"""
