"""Divides interactions into what a model may learn from and what it must find: by time, the last of each user, at random, replayed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ml_worker.evaluation.truth import Truth
from ml_worker.recommenders.interactions import Histories, Interactions

Protocol = Literal["next", "future", "random"]
"""What a test asks for: the next item of each user, what users meet after a moment, or a random part of what they met."""

TEST_SHARE: Final = 0.2


class CannotSplit(Exception):
    """These interactions cannot be divided this way; the message says why."""


@dataclass(frozen=True, eq=False)
class Split:
    """Training data and questions. Both sides have the whole vocabularies, so that a row and a column mean the same in both."""

    train: Interactions
    test: Truth
    replayed: "Live | None" = None
    among: NDArray[np.bool_] | None = None  # [items] which may be in a list; all, if not given

    def histories(self, questions: NDArray[np.integer] | None = None) -> Histories:
        """What is known of the user of each of these questions (of all) when it is asked: the training data, or in a replay all before."""
        return self.live.histories(np.arange(len(self.test)) if questions is None else questions)

    def take(self, questions: NDArray[np.integer] | NDArray[np.bool_]) -> "Split":
        """The same with only these questions, by index or mask."""
        live = Live(self.live.whole, self.live.rows[questions], self.live.seen[questions])
        return Split(self.train, self.test.take(questions), live, self.among)

    @cached_property
    def live(self) -> "Live":
        """The histories of all questions."""
        if self.replayed is not None:
            return self.replayed
        whole = self.train.histories()
        return Live(whole, self.test.rows, np.diff(whole.offsets)[self.test.rows])


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """Histories at the time of the questions: the first `seen[q]` events of row `rows[q]` of `whole`."""

    whole: Histories
    rows: NDArray[np.int64]  # [questions]
    seen: NDArray[np.int64]  # [questions]

    def histories(self, questions: NDArray[np.integer]) -> Histories:
        """The histories at the time of these questions."""
        counts, starts = self.seen[questions], self.whole.offsets[self.rows[questions]]
        before = np.r_[0, np.cumsum(counts)].astype(np.int64)
        places = np.arange(before[-1]) + np.repeat(starts - before[:-1], counts)
        asked, shape = np.repeat(np.arange(len(questions)), counts), (len(questions), self.whole.matrix.shape[1])
        return Histories.from_events(asked, self.whole.items[places], self.whole.weights[places], self.whole.times[places], shape=shape)


def by_time(interactions: Interactions, *, share: float = TEST_SHARE) -> Split:
    """The last `share` of all events are to be found, one moment for everybody: what a model meets when it goes live.

    Events at the moment of the cut are all on the later side. Users without a training event are asked about too. Raises `CannotSplit`.
    """
    is_test = interactions.times >= _moment(interactions, share)
    return divided(interactions, is_test)


def leave_last_out(interactions: Interactions) -> Split:
    """The last thing each user liked for the first time is to be found; what happened to the user after it is nobody's.

    Asked about are users who met something before. Equal times keep the order of the events. Raises `CannotSplit`.
    """
    order = np.lexsort((interactions.times, interactions.users))
    users, items = interactions.users[order], interactions.items[order]
    keys = users.astype(np.int64) * max(1, len(interactions.item_ids)) + items
    is_candidate = np.zeros(len(order), dtype=np.bool_)
    is_candidate[np.unique(keys, return_index=True)[1]] = True  # the first meeting of the pair
    place = np.arange(len(order))
    starts = np.searchsorted(users, np.arange(len(interactions.user_ids)))
    is_candidate &= (interactions.weights[order] > 0) & (place > starts[users])
    last = np.full(len(interactions.user_ids), len(order), dtype=np.int64)
    last[users[is_candidate]] = place[is_candidate]  # of several values for a place the last one stays
    is_train = np.zeros(len(order), dtype=np.bool_)
    is_train[order] = place < last[users]
    held_out = order[last[last < len(order)]]
    train = _not_empty(interactions, is_train)
    return Split(
        train, Truth.from_events(interactions.users[held_out], interactions.items[held_out], interactions.times[held_out], train=train)
    )


def last_of_each(interactions: Interactions, *, share: float = TEST_SHARE, depth: int, most: int | None = None) -> Split:
    """The last `share` of each user's events is to be found, at least one and at most `depth`; something stays to ask with.

    With more than `most` users, those who were active last are asked and the others only learnt from, as are users whose events are all
    of one second, of which none is the last. What others did later is known to every model alike. Equal times keep the order of the
    events. Raises `CannotSplit`.
    """
    check_share(share)
    counts = np.bincount(interactions.users, minlength=len(interactions.user_ids))
    order = np.lexsort((interactions.times, interactions.users))
    ends = np.cumsum(counts)
    times = np.r_[interactions.times[order], 0]  # whoever has no events ends where the next begins
    first, latest = times[ends - counts], times[ends - 1]
    several = np.flatnonzero((counts > 1) & (first < latest))
    asked = several[np.argsort(-latest[several], kind="stable")[:most]]
    held_out = np.zeros_like(counts)
    held_out[asked] = np.minimum(np.clip(np.round(share * counts[asked]), 1, depth), counts[asked] - 1)
    from_end = np.repeat(ends, counts) - 1 - np.arange(len(order))
    is_test = np.empty(len(order), dtype=np.bool_)
    is_test[order] = from_end < np.repeat(held_out, counts)
    return divided(interactions, is_test)


def at_random(interactions: Interactions, *, share: float = TEST_SHARE, seed: int = 0) -> Split:
    """A random `share` of each user's events is to be found, rounded half to even. Flatters every model: time is ignored.

    Raises `CannotSplit`.
    """
    check_share(share)
    draws = np.random.default_rng(seed).random(len(interactions))
    order = np.lexsort((draws, interactions.users))
    counts = np.bincount(interactions.users, minlength=len(interactions.user_ids))
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_test = np.empty(len(order), dtype=np.bool_)
    is_test[order] = place >= np.repeat(counts - np.round(share * counts), counts)
    return divided(interactions, is_test)


def replay(interactions: Interactions, *, share: float = TEST_SHARE, most: int | None = None, seed: int = 0) -> Split:
    """The division of `by_time`, but each later event is a question of its own, asked with everything the user did before it.

    One item is right for each question. With more than `most` questions a random draw of them is asked. Raises `CannotSplit`.
    """
    moment = _moment(interactions, share)
    train = _not_empty(interactions, interactions.times < moment)
    whole = interactions.histories()
    rows = np.repeat(np.arange(len(whole)), np.diff(whole.offsets))
    keys = rows * max(1, len(interactions.item_ids)) + whole.items
    is_asked = np.zeros(len(keys), dtype=np.bool_)
    is_asked[np.unique(keys, return_index=True)[1]] = True  # what was met before is never recommended
    asked = np.flatnonzero(is_asked & (whole.times >= moment) & (whole.weights > 0))
    if not len(asked):
        raise CannotSplit("nothing is liked for the first time in the part to be found")
    if most is not None and len(asked) > most:
        asked = np.sort(np.random.default_rng(seed).choice(asked, most, replace=False))
    user_rows, one_each = rows[asked].astype(np.int64), np.arange(len(asked) + 1, dtype=np.int64)
    test = Truth(user_rows, one_each, whole.items[asked], whole.times[asked], np.zeros(len(asked), dtype=np.int64))
    return Split(train, test, Live(whole, user_rows, asked - whole.offsets[user_rows]))


def _moment(interactions: Interactions, share: float) -> int:
    """The second from which on events are to be found."""
    check_share(share)
    times = np.sort(interactions.times)
    if not len(times) or times[0] == times[-1]:
        raise CannotSplit(f"all {len(times)} interactions are of the same second, so there is no earlier and later")
    moment = int(times[len(times) - max(1, round(share * len(times)))])
    # Something must be left to learn from.
    return moment if moment > times[0] else int(times[np.searchsorted(times, times[0], side="right")])


def check_share(share: float) -> None:
    """Raise `CannotSplit` unless this can be the share of a part."""
    if not 0 < share < 1:
        raise CannotSplit(f"the share to be found is {share}; it lies between 0 and 1")


def divided(interactions: Interactions, is_test: NDArray[np.bool_]) -> Split:
    """What is liked in these events [events] is to be found, the others are learnt from. Raises `CannotSplit`."""
    train = _not_empty(interactions, ~is_test)
    liked = np.flatnonzero(is_test & (interactions.weights > 0))
    test = Truth.from_events(interactions.users[liked], interactions.items[liked], interactions.times[liked], train=train)
    if not len(test):
        raise CannotSplit("nothing is liked for the first time in the part to be found")
    return Split(train, test)


def _not_empty(interactions: Interactions, is_train: NDArray[np.bool_]) -> Interactions:
    if not is_train.any():
        raise CannotSplit(f"none of {len(interactions)} interactions is left to learn from")
    return interactions.part(is_train)
