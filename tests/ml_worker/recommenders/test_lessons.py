"""Dividing training data into what is learnt and questions with answers."""

import numpy as np
import pytest

from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.lessons import Lesson, NoLesson, asked_about, make_lesson


def walked(users: int = 30, length: int = 12) -> Interactions:
    """Every user meets `length` of 40 items, one a second, in an order of their own."""
    rng = np.random.default_rng(3)
    items = np.concatenate([rng.permutation(40)[:length] for _ in range(users)])
    return Interactions(
        user_ids=tuple(f"{n:02}" for n in range(users)),
        item_ids=tuple(f"{n:02}" for n in range(40)),
        users=np.repeat(np.arange(users), length).astype(np.int32),
        items=items.astype(np.int32),
        weights=np.ones(users * length, dtype=np.float32),
        times=np.tile(np.arange(length), users).astype(np.int64),
    )


def answers(lesson: Lesson) -> list[list[int]]:
    return [row.indices.tolist() for row in lesson.answers]


def test_the_last_events_are_asked_for_one_by_one_with_what_came_before():
    data = walked()
    lesson = make_lesson(data, "next", depth=3)
    assert len(lesson) == 3 * 30
    asked = lesson.histories(np.arange(len(lesson)))
    for question, row in enumerate(lesson.rows):
        own = data.items[data.users == row].tolist()
        place = 9 + question % 3
        assert answers(lesson)[question] == [own[place]]
        assert asked.items[asked.offsets[question] : asked.offsets[question + 1]].tolist() == own[:place]
    assert sorted(np.bincount(lesson.train.users)) == [9] * 30
    assert lesson.train.times.max() == 8


def test_repetitions_and_dislikes_are_no_answers():
    data = Interactions.from_events([*"aaaaaa"], [*"uvwxxy"], [1, 1, 1, 1, 1, -1], range(6))
    lesson = make_lesson(data, "next", depth=1)
    assert answers(lesson) == [[3]]
    assert lesson.seen.tolist() == [3]


def test_a_random_share_of_each_user_is_asked_for():
    data = walked()
    lesson = make_lesson(data, "random", share=0.25, seed=5)
    assert [len(found) for found in answers(lesson)] == [3] * 30
    assert np.bincount(lesson.train.users).tolist() == [9] * 30
    assert answers(lesson) == answers(make_lesson(data, "random", share=0.25, seed=5))
    assert answers(lesson) != answers(make_lesson(data, "random", share=0.25, seed=6))
    met = lesson.train.matrix()
    assert not met[lesson.rows].multiply(lesson.answers).nnz


def test_later_events_are_asked_for_at_one_moment():
    lesson = make_lesson(walked(), "future", share=0.25)
    assert lesson.train.times.max() == 8
    assert [len(found) for found in answers(lesson)] == [3] * 30


def test_a_sample_asks_some_of_the_questions():
    lesson = make_lesson(walked(), "next", depth=3)
    some = lesson.sample(10, seed=0)
    assert len(some) == len(answers(some)) == 10
    assert lesson.sample(1000, seed=0) is lesson


@pytest.mark.parametrize("task", ["next", "random", "future"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(Interactions.from_events([], [], [], []), id="nothing"),
        pytest.param(Interactions.from_events(["a"], ["x"], [1], [0]), id="one event"),
        pytest.param(Interactions.from_events(["a"] * 5, ["x"] * 5, [1] * 5, range(5)), id="one item"),
        pytest.param(Interactions.from_events([*"abc"], [*"xyz"], [-1] * 3, range(3)), id="only dislikes"),
    ],
)
def test_too_little_is_said_by_name(task, data):
    with pytest.raises(NoLesson):
        make_lesson(data, task)


def test_what_is_asked_may_be_given():
    data = walked()
    lesson = asked_about(data.part(data.times < 10), data.part(data.times >= 10))
    assert [len(found) for found in answers(lesson)] == [2] * 30
