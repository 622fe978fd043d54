"""Run a model, one file for each library. All backends implement the protocols of `base.py`.

file                     | what it is for
-------------------------+-----------------------------------------------------------------
base.py                  | the protocols of a backend
readable.py              | makes a text fit for any tokenizer
piece_rules.py           | tells whether a tokenizer cuts words apart from each other
processor.py             | the arithmetic of this processor, which affects a model's scores
graphs.py                | tokens in, one array out; shared by the backends of prepared models
openvino.py              | runs prepared models with OpenVINO
onnx.py                  | runs prepared models with ONNX Runtime
sentence_transformers.py | runs published models with torch
static.py                | a table of word vectors, without an engine
fake.py                  | no model; counts shared words, for tests and for a first try
"""
