"""Hides torch and its companions: Python runs this first when this folder is on PYTHONPATH.

An import of one of them fails as if it were not installed, in this process and in every process
that it starts.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

HIDDEN = frozenset({"torch", "transformers", "sentence_transformers", "nncf", "onnx"})


class Hiding:
    """A finder that answers for the hidden packages."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, Hiding())
