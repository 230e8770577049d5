"""Reads a published data set as interactions and divides it as asked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from datasets.importing import opened
from datasets.report import Tally
from datasets.rows import ItemRow
from ml_worker.evaluation.cold import cold_items, cold_users
from ml_worker.evaluation.splits import Protocol, Split, at_random, by_time, leave_last_out, replay
from ml_worker.events import strength
from ml_worker.recommenders.base import Progress
from ml_worker.recommenders.interactions import Interactions

SplitName = Literal["time", "last", "random", "replay"]
AnySplit = Literal["time", "last", "random", "replay", "cold-items", "cold-users"]
PROTOCOLS: Mapping[AnySplit, Protocol] = {
    "time": "future",
    "last": "next",
    "random": "random",
    "replay": "future",
    "cold-items": "random",
    "cold-users": "future",
}
DESCRIPTIONS: Mapping[AnySplit, str] = {
    "time": "the last fifth of all ratings by time",
    "last": "the last of each user",
    "random": "a random fifth of each user's",
    "replay": "the last fifth by time, one question for each, asked with the history up to it",
    "cold-items": "a tenth of the items without any event, to be found among themselves",
    "cold-users": "a tenth of the users not learnt from, asked with 0, 1, 2, 4 and 8 of their events",
}
MOST_REPLAYED = 20_000


def read_interactions(source: str, *, progress: Progress) -> Interactions:
    """The ratings of a MovieLens folder, archive or address, weighed as in an instance: from 2.5 stars up liked, below disliked.

    Genres are the features of the items. Raises `DatasetUnusable`.
    """
    users, items, stars, times = list[str](), list[str](), list[float](), list[float]()
    with opened(source, tally=Tally(most_bad=None, on_bad_row=lambda _row: None)) as (_layout, dataset):
        list(dataset.users())  # the three are asked for in this order
        films = list(dataset.items())
        for chunk in dataset.interactions():
            for user, item, _type, value, time in chunk:
                users.append(user)
                items.append(item)
                stars.append(value)
                times.append(time)
            progress(0.5, f"{len(users):,} ratings")
    values = np.array(stars, dtype=np.float32)
    weights = strength(np.zeros(len(values), dtype=np.intp), values, {"rating": 1.0})
    catalogue = [film.id for film in films]
    whole = Interactions.from_events(users, items, weights, np.array(times, dtype=np.int64), catalogue=catalogue)
    progress(1.0, f"{len(whole):,} ratings")
    return replace(whole, item_features=_features(films, whole.item_ids))


def divide(interactions: Interactions, split: AnySplit, *, seed: int) -> Split:
    """The split of this name. Raises `CannotSplit`."""
    if split == "time":
        return by_time(interactions)
    if split == "last":
        return leave_last_out(interactions)
    if split == "random":
        return at_random(interactions, seed=seed)
    if split == "cold-items":
        return cold_items(interactions, seed=seed)
    if split == "cold-users":
        return cold_users(interactions, seed=seed)
    return replay(interactions, most=MOST_REPLAYED, seed=seed)


def _features(films: Sequence[ItemRow], item_ids: Sequence[str]) -> csr_matrix | None:
    """The categories as float32 [items × categories]."""
    names = sorted({name for film in films for name in film.categories})
    if not names:
        return None
    rows = {item: row for row, item in enumerate(item_ids)}
    columns = {name: column for column, name in enumerate(names)}
    pairs = [(rows[film.id], columns[name]) for film in films for name in film.categories]
    places = tuple(np.array(axis, dtype=np.int64) for axis in zip(*pairs, strict=True))
    return csr_matrix((np.ones(len(pairs), dtype=np.float32), places), shape=(len(item_ids), len(names)))
