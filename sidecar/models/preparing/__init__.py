"""Turns a published model into a graph that is served without torch.

      published.py --> transformer_graph.py --> answer_graph.py --> graph_files.py
                  +--> onnx_source.py --------> answer_graph.py --> graph_files.py
                  +--> torch_original.py -----> torch_graphs.py --> graph_files.py

file                 | what it is for
---------------------+--------------------------------------------------------------------
worker.py            | runs all of this in a process of its own, whose end frees the memory
original.py          | the model as it was published, and the choice of how to read it
published.py         | what the model's files say about it: parts, limits, prompts
weights.py           | the weights from safetensors files
transformer_graph.py | the graph of a BERT-like transformer, from its weights
answer_graph.py      | pooling, linear layers and scoring heads as parts of a graph
onnx_source.py       | the graph of a model that brings one for ONNX
quantised_graph.py   | an ONNX graph with quantised weights, turned back into floats
torch_original.py    | the model as sentence-transformers loads it
torch_graphs.py      | graphs that torch traces or exports
graph_files.py       | a graph and its table of word vectors as files
byte_weights.py      | weights of one byte
fixed_scales.py      | bytes for activations too, with scales that are fixed beforehand
parity.py            | how closely the graph's ranking follows the original's
errors.py            | why a model cannot be prepared
"""
