"""What every model must do behind the `Scorer` seam, whatever runs it: one function a promise.

`SHAPE` holds for any model, `RELEVANCE` for one that has learnt something (or counts words).
"""

import math

from pipelines.scoring import Scorer

QUERY = "red trail running shoes"
TEXTS = [
    "The annual report lists revenue by region and quarter.",
    "Light red running shoes for the trail, with a firm grip on wet rock.",
    "How to prune an apple tree in late winter.",
]
ODD = [
    "",
    " \t\n",
    "\x00\x1b\x7f",
    "\ud83d",  # half a surrogate pair, as JSON may carry it
    "e\u0301\u200d\u202e\ufeff",
    "\U0001f469\u200d\U0001f467 \u4e2d\u6587 \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "a" * 5000,
    "\u0928\u093f " * 2000,
]


async def _score(scorer: Scorer, model: str, query_text: str, texts: list[str]) -> list[float]:
    scores = await scorer.score(model, query_text, texts)
    assert len(texts) == len(scores)
    numbers = [score for score in scores if score is not None]
    assert len(texts) == len(numbers), "without a deadline, every text is scored"
    assert all(math.isfinite(number) for number in numbers)
    assert all(type(number) is float for number in numbers)
    return numbers


async def one_score_a_text(scorer: Scorer, model: str) -> None:
    await _score(scorer, model, QUERY, TEXTS)


async def no_texts_no_scores(scorer: Scorer, model: str) -> None:
    assert await scorer.score(model, QUERY, []) == []


async def the_same_again(scorer: Scorer, model: str) -> None:
    assert await _score(scorer, model, QUERY, TEXTS) == await _score(scorer, model, QUERY, TEXTS)


async def equal_texts_tie(scorer: Scorer, model: str) -> None:
    scores = await _score(scorer, model, QUERY, TEXTS[:1] * 5)
    assert len(set(scores)) == 1


async def neighbours_do_not_matter(scorer: Scorer, model: str) -> None:
    """A text has nearly the same score alone as beside long ones: padding is no content."""
    [alone] = await _score(scorer, model, "apple tree", [TEXTS[2]])
    beside = await _score(scorer, model, "apple tree", [*("word " * n for n in (90, 30)), TEXTS[2]])
    assert math.isclose(alone, beside[2], abs_tol=1e-4)


async def a_long_text_is_cut(scorer: Scorer, model: str) -> None:
    await _score(scorer, model, "tree " * 3000, ["apple tree " * 50_000, TEXTS[1]])


async def odd_text_is_text(scorer: Scorer, model: str) -> None:
    await _score(scorer, model, QUERY, ODD)
    for query_text in ODD:
        await _score(scorer, model, query_text, TEXTS)


async def a_hundred_texts(scorer: Scorer, model: str) -> None:
    texts = [f"{TEXTS[n % 3]} {n}" * (1 + n % 5) for n in range(100)]
    scores = await _score(scorer, model, QUERY, texts)
    # Chunks are read in another order; each score must still be its own text's.
    [seventieth] = await _score(scorer, model, QUERY, [texts[70]])
    assert math.isclose(seventieth, scores[70], abs_tol=1e-4)


async def the_obvious_text_wins(scorer: Scorer, model: str) -> None:
    report, shoes, tree = await _score(scorer, model, QUERY, TEXTS)
    assert shoes > max(report, tree)
    report, shoes, tree = await _score(scorer, model, "cutting apple tree branches", TEXTS)
    assert tree > max(report, shoes)


SHAPE = [
    one_score_a_text,
    no_texts_no_scores,
    the_same_again,
    equal_texts_tie,
    neighbours_do_not_matter,
    a_long_text_is_cut,
    odd_text_is_text,
    a_hundred_texts,
]
RELEVANCE = [the_obvious_text_wins]
