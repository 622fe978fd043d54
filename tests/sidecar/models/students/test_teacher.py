"""When a student is taught, how its table travels between processes, and shutdown."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.passage_store import PassageStore, passage_digest
from sidecar.models.scorers import BiEncoderScorer, Models
from sidecar.models.students.student import Student
from sidecar.models.students.table_files import load_student, save_student
from sidecar.models.students.teacher import FIRST_LESSONS, Teacher
from sidecar.models.students.teaching import split_lessons, teach
from sidecar.models.students.teaching_process import TeachingFailed
from tests.sidecar.models.students.conftest import WordsWithPieces, make_texts

BACKEND = WordsWithPieces()
TEXTS = make_texts(FIRST_LESSONS)

Make = Callable[..., Teacher]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make(metrics: Metrics, tmp_path: Path) -> Iterator[Make]:
    made: list[Teacher] = []

    def make_one(folder: Path | None = tmp_path, *, in_background: bool = False) -> Teacher:
        teacher = Teacher(
            "m",
            BACKEND.identity,
            BACKEND.dimensions,
            BACKEND.read_pieces,
            2**20,
            Metrics() if made else metrics,
            folder,
            in_background=in_background,
        )
        made.append(teacher)
        return teacher

    yield make_one
    for teacher in made:
        teacher.close()


def offer(teacher: Teacher, texts: list[str]) -> None:
    teacher.offer([passage_digest(text) for text in texts], texts, BACKEND.embed_passages(texts))


def teachings(metrics: Metrics, result: str) -> float | None:
    labels = {"model": "m", "result": result}
    return metrics.registry.get_sample_value("rescore_student_teachings_total", labels)


def test_a_thousand_passages_teach_and_the_table_is_kept(
    make: Make, metrics: Metrics, tmp_path: Path
) -> None:
    teacher = make()
    offer(teacher, TEXTS[1:])
    assert not teacher.is_due()
    offer(teacher, TEXTS[:1])
    assert teacher.is_due()
    assert teacher.teach_now()
    assert teachings(metrics, "better") == 1
    assert not teacher.is_due(), "the next one waits"
    loaded = load_student(tmp_path, BACKEND.identity, BACKEND.dimensions)
    assert loaded is not None
    assert loaded.lessons == int((~teacher.lessons.lessons().held_out).sum())
    assert make().estimator.student is not None, "a start finds it"


def test_a_running_process_picks_up_a_newer_table(make: Make, tmp_path: Path) -> None:
    serving, warming = make(), make()
    offer(warming, TEXTS)
    warming.teach_now()
    assert serving.estimator.student is None
    serving.look()
    first = serving.estimator.student
    assert first is not None
    older = dataclasses.replace(first, taught_at=first.taught_at - 10)
    save_student(older, tmp_path)
    serving.look()
    assert serving.estimator.student is first


def test_a_worse_table_does_not_replace_a_good_one(make: Make) -> None:
    good_lessons = make(None)
    offer(good_lessons, TEXTS)
    good = teach(BACKEND.identity, split_lessons(good_lessons.lessons.lessons())[0])
    teacher = make(None)
    teacher.estimator.use(good)
    digests = [passage_digest(text) for text in TEXTS]
    vectors = BACKEND.embed_passages(TEXTS)
    wrong = np.array([digest[0] >= 26 for digest in digests])
    vectors[wrong] = -vectors[wrong]  # what teaches is wrong, and what judges is right
    teacher.offer(digests, TEXTS, vectors)
    assert not teacher.teach_now()
    assert teacher.estimator.student is good


def test_no_teaching_outlives_the_teacher(make: Make, metrics: Metrics) -> None:
    teacher = make(in_background=True)
    offer(teacher, TEXTS)
    teacher.close()
    with pytest.raises(TeachingFailed):
        teacher.teach_now()
    assert teachings(metrics, "failed") == 1
    assert teacher.estimator.student is None


async def test_a_scorer_estimates_with_what_it_has_read(make: Make, metrics: Metrics) -> None:
    teacher = make()
    store = PassageStore(BACKEND.dimensions, 2**21)
    models = Models({"m": BiEncoderScorer("m", BACKEND, store, metrics, teacher=teacher)})
    try:
        scorer = models.scorer(None)
        query = "w1 w2 w3 w4 w5"
        assert await scorer.estimate("m", query, TEXTS) is None
        await scorer.score("m", query, TEXTS)
        assert len(teacher.lessons) == FIRST_LESSONS
        await asyncio.to_thread(teacher.teach_now)
        unread = make_texts(40, seed=9)
        texts = [*unread, unread[0], "", "nothing known"]
        estimates = await scorer.estimate("m", query, texts)
        assert estimates is not None
        assert estimates[:40] == (await scorer.estimate("m", query, unread))
        assert estimates[40] == estimates[0]
        assert estimates[41:] == [None, None]
        scores = await scorer.score("m", query, unread)
        differences = [
            abs(one - two)
            for one, two in zip(estimates, scores, strict=False)
            if one is not None and two is not None
        ]
        assert len(differences) == len(unread)
        assert max(differences) < 0.2
        assert await scorer.estimate("no such model", query, unread) is None
        labels = {"model": "m"}
        counted = metrics.registry.get_sample_value("rescore_student_estimates_total", labels)
        assert counted == 41 + 40
    finally:
        models.close()


def test_a_table_of_the_wrong_model_is_not_used(
    make: Make, student: Student, tmp_path: Path
) -> None:
    save_student(student, tmp_path)
    assert make().estimator.student is None
