"""What the second stage looks at: for each candidate its scores and ranks, and how item and user fit in age and place."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml_worker.recommenders.interactions import Histories, Interactions

# Columns of the item statistics.
COUNT, COMPANY, SHARE, PLACE, RECENT, FIRST, MEAN, LAST = range(8)
STATISTICS: Final = 8
_DAY = 86_400.0
_RECENT_SHARE = 0.1
_BESIDE_PARTS = 18


def item_statistics(interactions: Interactions) -> NDArray[np.float32]:
    """What is known of each item beside who met it: float32 [items × 8], zero for items nobody met.

    log(1 + events) · mean log length of the histories it is in · its mean place in them as a share, and as log(1 + place) ·
    the share of its events in the last tenth of all · days of its first, mean and last event, from the last event of all.
    """
    histories = interactions.histories()
    lengths, items = np.diff(histories.offsets), histories.items
    rows = np.repeat(np.arange(len(histories)), lengths)
    place = np.arange(len(rows)) - histories.offsets[rows]
    count = np.bincount(items, minlength=len(interactions.item_ids))
    times = (histories.times - interactions.times.max(initial=0)) / _DAY
    recent = np.quantile(times, 1 - _RECENT_SHARE) if len(times) else 0.0
    first, last = np.full(len(count), np.inf), np.full(len(count), -np.inf)
    np.minimum.at(first, items, times)
    np.maximum.at(last, items, times)

    def mean(values: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.bincount(items, weights=values, minlength=len(count)) / np.maximum(count, 1)

    columns = [np.log1p(count), mean(np.log(np.maximum(lengths, 1))[rows]), mean(place / np.maximum(lengths, 1)[rows])]
    columns += [mean(np.log1p(place)), mean((times > recent).astype(np.float64)), first, mean(times), last]
    statistics = np.stack(columns, axis=1)
    statistics[count == 0] = 0
    return statistics.astype(np.float32)


def feature_count(parts: int) -> int:
    """How many features there are with so many models in the first stage."""
    return 3 * (parts + 1) + _BESIDE_PARTS


def features(
    histories: Histories,
    candidates: NDArray[np.integer],
    scores: Sequence[NDArray[np.float32]],
    statistics: NDArray[np.float32],
    *,
    end: int,
) -> NDArray[np.float32]:
    """The features of every candidate [users × candidates]: float32 [users × candidates, features].

    `scores` are standard scores [users × items], of the blend and of each part; `end` is the second from which the item statistics count.
    """
    columns: list[NDArray[np.generic]] = []
    for of_model in scores:
        values = np.take_along_axis(of_model, candidates, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(candidates.shape[1])[None, :], axis=1)
        columns += [values, ranks, values.max(axis=1, keepdims=True) - values]
    columns += _of_users_and_items(histories, candidates, statistics, end)
    made = np.empty((candidates.size, len(columns)), dtype=np.float32)
    for number, column in enumerate(columns):
        made[:, number] = np.broadcast_to(column, candidates.shape).ravel()
    return made


def _of_users_and_items(
    histories: Histories, candidates: NDArray[np.integer], statistics: NDArray[np.float32], end: int
) -> list[NDArray[np.generic]]:
    """`_BESIDE_PARTS` columns: [users × candidates], or [users × 1] where all candidates share it."""
    lengths = np.diff(histories.offsets)
    rows, some = np.repeat(np.arange(len(histories)), lengths), np.maximum(lengths, 1)
    days = (histories.times - end) / _DAY

    def mean(values: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(np.bincount(rows, weights=values, minlength=len(histories)) / some)[:, None]

    # Users without events are not asked about; their columns only must not fail.
    there = lengths > 0
    first, last, before = (np.zeros((len(histories), 1)) for _ in range(3))
    starts, ends = histories.offsets[:-1][there], histories.offsets[1:][there]
    first[there, 0], last[there, 0], before[there, 0] = days[starts], days[ends - 1], days[np.maximum(ends - 2, starts)]
    met, middle = statistics[histories.items], mean(days)
    of_item = statistics[candidates]
    length = np.log1p(lengths)[:, None]
    liking, lateness = mean(met[:, COUNT]), mean(met[:, MEAN])
    return [
        length,
        liking,
        last - before,
        last - first,
        *(of_item[:, :, column] for column in (COUNT, COMPANY, SHARE, PLACE, RECENT)),
        of_item[:, :, COUNT] - liking,
        of_item[:, :, COMPANY] - length,
        of_item[:, :, PLACE] - length,
        of_item[:, :, FIRST] - last,
        of_item[:, :, LAST] - first,
        of_item[:, :, MEAN] - middle,
        of_item[:, :, LAST] - last,
        of_item[:, :, MEAN] - lateness,
        of_item[:, :, FIRST],
    ]
