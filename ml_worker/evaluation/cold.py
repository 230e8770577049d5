"""Divides interactions so that only the cold is asked about: items that nobody is known to have met, and users of whom little is known."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ml_worker.evaluation.splits import CannotSplit, Live, Split, check_share, divided
from ml_worker.evaluation.truth import Truth
from ml_worker.recommenders.interactions import Interactions

COLD_SHARE: Final = 0.1
KNOWN_EVENTS: Final = (0, 1, 2, 4, 8)
"""How many first events of a cold user are told, a question for each."""


def cold_items(interactions: Interactions, *, share: float = COLD_SHARE, seed: int = 0) -> Split:
    """A random `share` of the items that anybody likes lose all their events, and their likes are to be found among these items alone.

    What a model does here it does by the features of items: without any, it can only guess. Raises `CannotSplit`.
    """
    check_share(share)
    liked = np.unique(interactions.items[interactions.weights > 0])
    count = max(1, round(share * len(liked)))
    if count >= len(liked):
        raise CannotSplit(f"{len(liked)} items are liked: too few to leave some of them out")
    is_cold = np.zeros(len(interactions.item_ids), dtype=np.bool_)
    is_cold[np.random.default_rng(seed).choice(liked, count, replace=False)] = True
    return replace(divided(interactions, is_cold[interactions.items]), among=is_cold)


def cold_users(interactions: Interactions, *, share: float = COLD_SHARE, known: Sequence[int] = KNOWN_EVENTS, seed: int = 0) -> Split:
    """A random `share` of the users is left out of training, and asked about with the first 0, 1, 2, … of their events known.

    To be found is what they like after the last of these events, the same at each question, so that the cuts by length of the history tell
    what each further event brings. Users with nothing to be found then are not asked about. Raises `CannotSplit`.
    """
    check_share(share)
    whole, most = interactions.histories(), max(known)
    lengths = np.diff(whole.offsets)
    long = np.flatnonzero(lengths > most)
    count = max(1, round(share * len(long)))
    if not len(long) or count >= np.count_nonzero(lengths):
        raise CannotSplit(f"{len(long)} users have more than {most} events: too few to leave some of them out")
    drawn = np.sort(np.random.default_rng(seed).choice(long, count, replace=False))
    is_drawn = np.zeros(len(lengths), dtype=np.bool_)
    is_drawn[drawn] = True
    rows = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(rows)) - whole.offsets[rows]
    later = is_drawn[rows] & (place >= most) & (whole.weights > 0)
    earlier = is_drawn[rows] & (place < most)
    met = Interactions(
        interactions.user_ids,
        interactions.item_ids,
        rows[earlier].astype(np.int32),
        whole.items[earlier],
        whole.weights[earlier],
        whole.times[earlier],
    )
    truth = Truth.from_events(rows[later], whole.items[later], whole.times[later], train=met)
    if not len(truth):
        raise CannotSplit(f"nobody who was drawn likes anything new after {most} events")
    train = interactions.part(~is_drawn[interactions.users])
    test = truth.take(np.tile(np.arange(len(truth)), len(known)))
    return Split(train, test, Live(whole, test.rows, np.repeat(np.asarray(known, dtype=np.int64), len(truth))))
