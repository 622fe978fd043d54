"""A cross-encoder small enough to be built on the spot: it runs for real, and ranks nothing.

Its weights are random, but so large, and of such proportions, that its scores are spread: about
2.5 between the best and the worst passage of a query. So the gate means something with it on any
processor: what rounding does to a score is far less than what tells two passages apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from string import ascii_lowercase, digits, punctuation
from typing import Any

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = ascii_lowercase + digits + punctuation
# Any English text is read in pairs of letters, so that no two passages look alike.
_PIECES = [*_LETTERS, *("".join(pair) for pair in product(ascii_lowercase, repeat=2))]

# The size of the random weights whose names hold these words, the first that fits, in units of
# 1 / sqrt(inputs). A passage's own words outweigh what all passages share: the answer comes from
# them through the attention, and positions and the layers between add little.
_SIZES = {
    "query": 0.5,
    "key": 0.5,
    "value": 1.0,
    "attention.output": 4.0,
    "pooler": 0.5,
    "classifier": 4.0,
    "": 0.1,
}
_HIDDEN = 64


def build_cross_encoder(folder: Path, words: Sequence[str]) -> None:
    """Save one that knows these words: two small layers with random weights, always the same."""
    import torch
    import transformers

    pieces = [*_PIECES, *(f"##{piece}" for piece in _PIECES)]
    vocabulary = list(dict.fromkeys([*_SPECIAL, *words, *pieces]))
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer: Any = transformers.BertTokenizerFast  # type: ignore[attr-defined]  # made lazily
    tokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        config = transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=_HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=2 * _HIDDEN,
            max_position_embeddings=64,
        )
        config.num_labels = 1
        model = transformers.BertForSequenceClassification(config)
        for name, weights in model.named_parameters():
            if "word_embeddings" in name:
                weights.normal_(0, 1)
            elif "embeddings" in name and "LayerNorm" not in name:
                weights.normal_(0, 0.1)
            elif weights.dim() == 2:
                size = next(size for part, size in _SIZES.items() if part in name)
                weights.normal_(0, size / weights.shape[1] ** 0.5)
        model.save_pretrained(folder)
