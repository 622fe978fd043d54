"""Writes a graph and its table of word vectors as two files, so that the table can be mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.openvino import WORDS, graph_file, import_openvino
from sidecar.models.preparing.byte_weights import compress_weights
from sidecar.models.preparing.errors import CannotPrepare


def take_out_words(graph: Any) -> FloatArray:
    """Make the word vectors an input of the graph, the last one; returns their table."""
    ov = import_openvino()
    ids = graph.inputs[0]
    for node in graph.get_ops():
        if node.get_type_name() != "Gather":
            continue
        table, rows = node.input_value(0), node.input_value(1)
        constant = _through_convert(table)
        if not _comes_from(rows, ids) or constant.get_node().get_type_name() != "Constant":
            continue
        values = np.array(constant.get_node().data, np.float32)
        words = ov.op.Parameter(ov.Type.f32, ov.PartialShape([-1, -1, values.shape[1]]))
        words.output(0).set_names({"words"})
        vectors = words.output(0)
        if table.get_element_type() != ov.Type.f32:
            vectors = ov.opset15.convert(vectors, table.get_element_type()).output(0)
        node.output(0).replace(vectors)
        graph.add_parameters([words])
        graph.validate_nodes_and_infer_types()
        return values
    raise CannotPrepare("the model has no table of word vectors")


def write_graph(graph: Any, words: FloatArray, form: str, folder: Path) -> None:
    """Write `graph-FORM.xml`, `graph-FORM.bin` and `words.npy`; changes the graph.

    `int8` is for the weights of all linear layers. Activations are converted at run time
    (`backends/openvino.py`). The word vectors are in floats of two bytes unless the form is `f32`;
    the last graph that is written to a folder decides.
    """
    if form == "int8":
        compress_weights(graph)
    small = form != "f32"
    import_openvino().save_model(graph, graph_file(folder, form), compress_to_fp16=small)
    np.save(folder / WORDS, words.astype(np.float16) if small else words)


def _through_convert(output: Any) -> Any:
    node = output.get_node()
    return node.input_value(0) if node.get_type_name() == "Convert" else output


def _comes_from(output: Any, source: Any) -> bool:
    """Whether it is that input, but for a change of its number type."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        return _comes_from(node.input_value(0), source)
    return bool(node.get_friendly_name() == source.get_node().get_friendly_name())
