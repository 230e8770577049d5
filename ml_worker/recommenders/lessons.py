"""Lessons: training data divided into what models may learn from and questions with known answers, to train or choose what comes after."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.interactions import Histories, Interactions

Task = Literal["next", "future", "random"]
"""What is asked: the next item of a user, what users meet after a moment, or a random part of what they met."""

FEWEST_EVENTS: Final = 3
"""Users with fewer events are not asked about: nothing would be left to know them by."""


class NoLesson(Exception):
    """The interactions are too few, or of one second, to be divided; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What may be learnt, and questions: who asks, after how many of their events in `whole`, and what was right."""

    train: Interactions
    whole: Histories  # of all users
    rows: NDArray[np.int64]  # [questions] row in `whole`
    seen: NDArray[np.int64]  # [questions] how many events of the row come before the question
    answers: csr_matrix  # bool [questions × items]

    def __len__(self) -> int:
        return len(self.rows)

    def histories(self, questions: NDArray[np.integer]) -> Histories:
        """What was known when these questions were asked."""
        counts, starts = self.seen[questions], self.whole.offsets[self.rows[questions]]
        before = np.r_[0, np.cumsum(counts)].astype(np.int64)
        places = np.arange(before[-1]) + np.repeat(starts - before[:-1], counts)
        asked, shape = np.repeat(np.arange(len(questions)), counts), (len(questions), self.whole.matrix.shape[1])
        whole = self.whole
        return Histories.from_events(asked, whole.items[places], whole.weights[places], whole.times[places], shape=shape)

    def take(self, questions: NDArray[np.integer]) -> "Lesson":
        """Only these questions."""
        return Lesson(self.train, self.whole, self.rows[questions], self.seen[questions], self.answers[questions])

    def sample(self, most: int, seed: int) -> "Lesson":
        """At most so many of the questions, drawn at random."""
        if len(self) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))


def make_lesson(interactions: Interactions, task: Task, *, share: float = 0.1, depth: int = 1, seed: int = 0) -> Lesson:
    """The questions of a task: of each user the last `depth` liked events, or a `share` of the events by time or at random.

    Right is what the user likes then for the first time. Raises `NoLesson`.
    """
    if task == "next":
        return _next(interactions, depth)
    is_later = _later(interactions, share) if task == "future" else _drawn(interactions, share, seed)
    return asked_about(interactions.part(~is_later), interactions.part(is_later))


def asked_about(train: Interactions, later: Interactions) -> Lesson:
    """One question for each user of `train` who likes something new in `later`. Raises `NoLesson`."""
    shape, whole = (len(train.user_ids), len(train.item_ids)), train.histories()
    met = _pairs(train.users, train.items, shape)
    liked = later.weights > 0
    answers = _pairs(later.users[liked], later.items[liked], shape)
    answers = (answers > met).tocsr()
    answers.eliminate_zeros()
    lengths = np.diff(whole.offsets)
    rows = np.flatnonzero((np.diff(answers.indptr) > 0) & (lengths > 0))
    if not len(rows) or not (train.weights > 0).any():
        raise NoLesson("nobody who is known likes anything new in what would be held out")
    return Lesson(train, whole, rows, lengths[rows], answers[rows])


def _next(interactions: Interactions, depth: int) -> Lesson:
    whole = interactions.histories()
    lengths, items = np.diff(whole.offsets), len(interactions.item_ids)
    rows = np.repeat(np.arange(len(whole)), lengths)
    place = np.arange(len(rows)) - whole.offsets[rows]
    is_first = np.zeros(len(rows), dtype=np.bool_)
    is_first[np.unique(rows * np.int64(max(1, items)) + whole.items, return_index=True)[1]] = True
    asked = np.flatnonzero(is_first & (whole.weights > 0) & (place >= min(FEWEST_EVENTS, depth)) & (place > 0))
    # Of each user the last ones: counted from the end, among those that can be asked about.
    counts = np.bincount(rows[asked], minlength=len(whole))
    from_end = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(asked))
    asked = asked[from_end < depth]
    if not len(asked):
        raise NoLesson("no user has met several items")
    cut = lengths.copy()
    np.minimum.at(cut, rows[asked], place[asked])
    order = np.lexsort((interactions.times, interactions.users))
    is_train = np.zeros(len(interactions), dtype=np.bool_)
    is_train[order] = place < cut[rows]
    train = interactions.part(is_train)
    if not (train.weights > 0).any():
        raise NoLesson("nothing liked is left to learn from")
    answers = csr_matrix((np.ones(len(asked), np.bool_), whole.items[asked], np.arange(len(asked) + 1)), shape=(len(asked), items))
    return Lesson(train, whole, rows[asked].astype(np.int64), place[asked].astype(np.int64), answers)


def _later(interactions: Interactions, share: float) -> NDArray[np.bool_]:
    times = np.sort(interactions.times)
    if not len(times) or times[0] == times[-1]:
        raise NoLesson(f"all {len(times)} interactions are of the same second")
    moment = times[max(0, len(times) - max(1, round(share * len(times))))]
    moment = moment if moment > times[0] else times[np.searchsorted(times, times[0], side="right")]
    is_later: NDArray[np.bool_] = interactions.times >= moment
    return is_later


def _drawn(interactions: Interactions, share: float, seed: int) -> NDArray[np.bool_]:
    order = np.lexsort((np.random.default_rng(seed).random(len(interactions)), interactions.users))
    counts = np.bincount(interactions.users, minlength=len(interactions.user_ids))
    kept = np.where(counts >= FEWEST_EVENTS, counts - np.maximum(1, np.round(share * counts)), counts)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_later = np.zeros(len(order), dtype=np.bool_)
    is_later[order] = place >= np.repeat(kept, counts)
    return is_later


def _pairs(users: NDArray[np.integer], items: NDArray[np.integer], shape: tuple[int, int]) -> csr_matrix:
    matrix = csr_matrix((np.ones(len(users), dtype=np.int32), (users, items)), shape=shape)
    return (matrix > 0).tocsr()
