"""Turns a model as it was published into one that is served without torch.

original.py     the model as sentence-transformers runs it, and what it cannot be turned into
exporting.py    the same as a graph of OpenVINO or of ONNX
parity.py       how near the graph ranks
worker.py       all of it in a process of its own, which takes torch's memory with it
"""
