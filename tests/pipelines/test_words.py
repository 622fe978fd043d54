from __future__ import annotations

import re
from typing import Literal
from unicodedata import category, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.words import MARKS, WORD, different_words, find_spans, read_words

# One word each, of scripts whose words have marks.
ONE_WORD = [
    "दिल्ली",
    "हिन्दी",
    "किताब",
    "বাংলা",
    "ক্ষুদ্র",
    "தமிழ்",
    "తెలుగు",
    "ಕನ್ನಡ",
    "മലയാളം",
    "അവന്\u200d",  # Malayalam as typed before Unicode 5.1: a joiner ends the word
    "ਪੰਜਾਬੀ",
    "ગુજરાતી",
    "සිංහල",
    "ශ්\u200dරී",
    "བོད",
    "שָׁלוֹם",
    "كِتَابٌ",
    "می\u200cخواهم",
    "cafe\u0301",
    "tie\u0302\u0301ng",
    "й".upper(),
    "한국어",
    "Zusammen\u00adarbeit",
    "İstanbul",
    "\U00011103\U00011127",  # Chakma, beyond the first 65,536 characters
    "1\ufe0f\u20e3",
]
# Parts of words and what stands between them, from every kind of character that matters here.
PIECES = [*ONE_WORD, *"aé_9्́ि", "ไทย", "น้ำ", "က္က", "ខ្មែរ", "が", "か\u3099", "中文", "Å", "\u1f71"]
PIECES += [*" .-\u200b\u200c\u200d‘’।", "\u3099", "\U0001f468\u200d\U0001f469", "\u2260", "\ud800"]
texts = st.lists(st.sampled_from(PIECES) | st.characters()).map("".join)


def words(*spelled: str) -> list[int]:
    return [hash(word) for word in spelled]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red, (shoe)! red", words("red", "shoe", "red")),
        ("snake_case 3.5", words("snake_case", "3", "5")),
        ("中文 word", words("中", "文", "word")),
        ("ที่นี่", words("ที่", "นี่")),
        ("น้ำ", words("น้", "ำ")),
        ("ひらがな・カナ", words("ひ", "ら", "が", "な", "カ", "ナ")),
        ("ว้าว! wow", words("ว้", "า", "ว", "wow")),
        ("aน้b", words("a", "น้", "b")),
        ("", []),
        ("?!", []),
        ("\u0301 \u200d", []),
    ],
)
def test_words_are_lower_cased_and_in_reading_order(text: str, expected: list[int]) -> None:
    assert read_words(text).tolist() == expected


@pytest.mark.parametrize("word", ONE_WORD)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_marks_are_in_the_word_that_they_belong_to(word: str, form: Literal["NFC", "NFD"]) -> None:
    word = normalize(form, word)
    text = f"({word}), {word}"
    assert [match.span() for match in WORD.finditer(text)] == [
        (1, 1 + len(word)),
        (4 + len(word), len(text)),
    ]
    assert len(read_words(text)) == 2
    assert len(different_words(text)) == 1


@pytest.mark.parametrize("word", [*ONE_WORD, "が", "Å", "\u1f71", "é"])
def test_spellings_that_look_the_same_are_the_same_word(word: str) -> None:
    without = re.sub("[\u00ad\u200c\u200d]", "", word)
    spellings = [word, normalize("NFC", word), normalize("NFD", word), without, word.upper()]
    assert len({tuple(read_words(spelling).tolist()) for spelling in spellings}) == 1


@given(texts)
def test_every_letter_and_digit_is_in_a_word_and_no_word_begins_with_a_mark(text: str) -> None:
    spans = [match.span() for match in WORD.finditer(text)]
    inside = {index for start, end in spans for index in range(start, end)}
    assert {index for index, sign in enumerate(text) if sign.isalnum() or sign == "_"} <= inside
    for start, end in spans:
        assert text[start].isalnum() or text[start] == "_"
        # It ends before something that could not go on with it.
        assert end == len(text) or not re.match(rf"[\w{MARKS}]", text[end])


@given(texts)
def test_composed_and_decomposed_texts_have_the_same_words(text: str) -> None:
    composed, decomposed = (normalize(form, text) for form in ("NFC", "NFD"))
    assert len(WORD.findall(composed)) == len(WORD.findall(decomposed))
    assert read_words(composed).tolist() == read_words(decomposed).tolist()


def test_marks_are_those_of_unicode() -> None:
    marks = re.compile(f"[{MARKS}]")
    for code in range(0x110000):
        if category(chr(code)).startswith("M"):
            assert marks.fullmatch(chr(code)), hex(code)
    for sign in "a1_ .-\u0e01\u200b\u200e\U0001f600":
        assert not marks.match(sign)


@pytest.mark.parametrize(
    "text", ["a" + "\u0301\u0316" * 200_000, "क्" * 200_000, "กิ" * 200_000, "\u200da" * 200_000]
)
def test_the_time_grows_with_the_length_alone(text: str) -> None:
    # Sorting the marks of the first one alone would take minutes.
    assert len(read_words(text)) in (1, 200_000)
    assert len(WORD.findall(text)) <= 200_000


@given(st.text())
def test_any_text_has_words_that_are_numbers(text: str) -> None:
    assert read_words(text).ndim == 1


@pytest.mark.parametrize(
    ("query_text", "text", "marked"),
    [
        ("red shoes", "The RED shoe, red-hot shoes", "The [RED] shoe, [red]-hot [shoes]"),
        (
            "caf\u00e9",
            "cafe\u0301 cafe caf\u00e9s CAF\u00c9",
            "[cafe\u0301] cafe caf\u00e9s [CAF\u00c9]",
        ),
        ("\u6771\u4eac", "\u5927\u6771\u4eac\u5858 \u4eac", "\u5927[\u6771\u4eac]\u5858 [\u4eac]"),
        ("shoelace", "a shoe\u00adlace", "a [shoe\u00adlace]"),
        ("red", "", ""),
        ("", "red", "red"),
    ],
)
def test_words_are_where_they_are(query_text: str, text: str, marked: str) -> None:
    pieces, copied = [], 0
    for start, end in find_spans(text, different_words(query_text)):
        pieces += [text[copied:start], "[", text[start:end], "]"]
        copied = end
    assert "".join([*pieces, text[copied:]]) == marked


@given(st.text(alphabet="aAb\u00c9e\u0301\u6771\u4eac\u00ad \u0915\u094d."))
def test_every_word_of_a_text_is_found_in_it(text: str) -> None:
    words = different_words(text)
    spans = find_spans(text, words)
    assert "".join(text[start:end] for start, end in spans) == "".join(WORD.findall(text))
    assert bool(spans) == bool(len(words))
