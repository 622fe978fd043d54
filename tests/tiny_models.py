"""Tiny bi-encoders of each layout that is published, with random weights, built on the spot."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from string import ascii_lowercase, digits, punctuation
from typing import Any

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_HIDDEN = 32


def build_tokenizer(folder: Path) -> int:
    """Save a tokenizer that reads any English text letter by letter; returns its vocabulary."""
    from transformers import BertTokenizerFast  # type: ignore[attr-defined]

    letters = ascii_lowercase + digits + punctuation
    words = [*_SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    return len(words)


def build_bi_encoder(
    folder: Path,
    architecture: str = "Bert",
    *,
    pooling: str = "mean",
    dense: bool = False,
    prompts: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Save a model as sentence-transformers does; `architecture` as in `BertModel`.

    `dense`: with a linear layer after the pooling. `settings` are for its `config.json`.
    """
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    body = folder / "body"
    body.mkdir(parents=True)
    size = build_tokenizer(body)
    distil = architecture == "DistilBert"
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=size,
        max_position_embeddings=80,
        pad_token_id=0,
        **(
            {"dim": _HIDDEN, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
            if distil
            else {
                "hidden_size": _HIDDEN,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 64,
            }
        ),
        **settings,
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        model = getattr(transformers, f"{architecture}Model")(config)
        for name, weights in model.named_parameters():
            if weights.dim() == 2:
                weights.normal_(0, 1 if "embeddings" in name else weights.shape[1] ** -0.5)
            elif "bias" in name:
                weights.normal_(0, 0.1)
        model.save_pretrained(body)
        parts: list[Any] = [
            modules.Transformer(str(body), max_seq_length=48),
            modules.Pooling(_HIDDEN, pooling_mode=pooling),
        ]
        if dense:
            parts.append(modules.Dense(_HIDDEN, 24))
        parts.append(modules.Normalize())
        whole = SentenceTransformer(modules=parts, prompts=dict(prompts or {}))
        whole.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


def export_onnx(body: Path, path: Path) -> None:
    """Export a transformer's token vectors as transformers' exporters do."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(body).eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]

    class TokenVectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            inputs = dict(zip(names, (ids, mask, types), strict=True))
            return self.model(**inputs).last_hidden_state

    ids = torch.ones((2, 16), dtype=torch.int64)
    path.parent.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            TokenVectors(),
            (ids, ids, torch.zeros_like(ids)),
            path,
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes={n: {0: "texts", 1: "tokens"} for n in (*names, "last_hidden_state")},
            dynamo=False,
        )
