"""What a partial training starts from: the earlier model's arrays, and who and what the new interactions touch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from ml_worker.recommenders.interactions import Histories, Interactions, votes
from ml_worker.recommenders.state import State


class FullTrainingNeeded(Exception):
    """This model cannot be brought up to these interactions; the message says why, a full training can."""


class Changes(NamedTuple):
    """The pairs of a user and an item with new events [pairs], by user, then item."""

    rows: NDArray[np.int64]  # index into `Earlier.users`
    items: NDArray[np.int64]
    before: NDArray[np.float32]  # the summed weight; 0 where the two had not met
    after: NDArray[np.float32]
    votes: NDArray[np.float32]  # what `Interactions.popularity` counts now
    lost: NDArray[np.float32]  # what it counted before


@dataclass(frozen=True)
class Earlier:
    """The model before, as seen from the interactions of now, of which those from index `since` on are new.

    `columns` [items of the earlier model] is where each of its items stands now; vocabularies are sorted, so new items move the old.
    """

    arrays: Mapping[str, NDArray[Any]]
    columns: NDArray[np.int32]
    interactions: Interactions
    since: int

    @classmethod
    def of(cls, state: State, interactions: Interactions, *, since: int) -> "Earlier":
        """Raises `FullTrainingNeeded` if the model knows items that are gone, or `since` lies outside the interactions."""
        if not 0 <= since <= len(interactions):
            raise FullTrainingNeeded(f"interactions from {since} on are said to be new, but there are {len(interactions)}")
        place = {item_id: column for column, item_id in enumerate(interactions.item_ids)}
        known = tuple(state.item_ids)
        gone = [item_id for item_id in known if item_id not in place]
        if gone:
            raise FullTrainingNeeded(f"{len(gone)} items that the model knows are gone, {gone[0]!r} among them")
        columns = np.fromiter((place[item_id] for item_id in known), dtype=np.int32, count=len(known))
        return cls(state.arrays, columns, interactions, since)

    @cached_property
    def users(self) -> NDArray[np.int32]:
        """The users with new interactions, ascending."""
        return np.unique(self.interactions.users[self.since :])

    @cached_property
    def items(self) -> NDArray[np.int32]:
        """The items with new interactions, ascending."""
        return np.unique(self.interactions.items[self.since :])

    @cached_property
    def matrix(self) -> csr_matrix:
        """The summed weights of the users with new interactions, after these [users × items]."""
        told, events = self.interactions, self._events
        return coo_matrix((told.weights[events], (self._rows, told.items[events])), shape=(len(self.users), len(told.item_ids))).tocsr()

    @cached_property
    def changes(self) -> Changes:
        """What is new, summed by user and item."""
        told, size = self.interactions, len(self.interactions.item_ids)
        is_touched = np.zeros(size, dtype=np.bool_)
        is_touched[self.items] = True
        candidates = np.flatnonzero(is_touched[told.items[self._events]])
        events = self._events[candidates]
        pairs = self._rows[candidates] * size + told.items[events]
        changed = np.unique(pairs[events >= self.since])
        place = np.minimum(np.searchsorted(changed, pairs), max(len(changed) - 1, 0))
        kept = np.flatnonzero(changed[place] == pairs) if len(changed) else np.empty(0, dtype=np.int64)
        # By pair, in each the earlier ones first: the events stand in order of arrival.
        kept = kept[np.argsort(place[kept], kind="stable")]
        events, place = events[kept], place[kept]
        old = events < self.since
        sums = []
        for some in (old, np.ones(len(old), dtype=np.bool_)):
            summed, counted = np.zeros((2, len(changed)), dtype=np.float32)
            of_pair, starts = np.unique(place[some], return_index=True)
            if len(of_pair):
                weights = told.weights[events[some]]
                with np.errstate(over="ignore"):
                    summed[of_pair] = np.add.reduceat(weights, starts)
                counted[of_pair] = votes(summed[of_pair], weights, starts)
            sums.append((summed, counted))
        (before, lost), (after, gained) = sums
        return Changes(changed // size, changed % size, before, after, gained, lost)

    def histories(self) -> tuple[Histories, NDArray[np.int64]]:
        """The histories of the users with new interactions, and how many of the events of each are new [users]."""
        told, events = self.interactions, self._events
        fresh = np.bincount(told.users[self.since :], minlength=len(told.user_ids))
        columns = (told.items[events], told.weights[events], told.times[events])
        return Histories.from_events(self._rows, *columns, shape=(len(self.users), len(told.item_ids))), fresh[self.users]

    def user_count(self) -> int:
        """How many users had interactions before."""
        is_there = np.zeros(len(self.interactions.user_ids), dtype=np.bool_)
        is_there[self.interactions.users[: self.since]] = True
        return int(np.count_nonzero(is_there))

    @cached_property
    def _events(self) -> NDArray[np.int64]:
        """The events of the users with new interactions, in order of arrival."""
        touched = np.zeros(len(self.interactions.user_ids), dtype=np.bool_)
        touched[self.users] = True
        return np.flatnonzero(touched[self.interactions.users])

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """Which of `users` each of `_events` is of."""
        place = np.zeros(len(self.interactions.user_ids), dtype=np.int64)
        place[self.users] = np.arange(len(self.users))
        return place[self.interactions.users[self._events]]

    def moved(self, name: str) -> NDArray[Any]:
        """An array of the earlier model whose first axis is items, with its rows where the items are now; zero for new items."""
        array = self.arrays[name]
        made = np.zeros((len(self.interactions.item_ids), *array.shape[1:]), dtype=array.dtype)
        made[self.columns] = array
        return made

    def popularity(self) -> NDArray[np.float32]:
        """`Interactions.popularity` of now [items], from that of before and the events of the pairs that have changed."""
        before, changes = self.moved("popularity"), self.changes
        sums = (np.bincount(changes.items, weights=counted, minlength=len(before)) for counted in (changes.votes, changes.lost))
        now, then = (counted.astype(np.float32) for counted in sums)
        moved = np.maximum(before + (now - then), 0)
        # What is left of a sum that was taken away again is rounding, not a like.
        return np.where((then > now) & (moved < 1e-5 * (before + now)), 0, moved).astype(np.float32)
