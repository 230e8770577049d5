"""What a partial training starts from: the earlier model's arrays, and who and what the new interactions touch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.state import State


class FullTrainingNeeded(Exception):
    """This model cannot be brought up to these interactions; the message says why, a full training can."""


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
        gone = [item_id for item_id in state.item_ids if item_id not in place]
        if gone:
            raise FullTrainingNeeded(f"{len(gone)} items that the model knows are gone, {gone[0]!r} among them")
        columns = np.fromiter((place[item_id] for item_id in state.item_ids), dtype=np.int32, count=len(state.item_ids))
        return cls(state.arrays, columns, interactions, since)

    @cached_property
    def users(self) -> NDArray[np.int32]:
        """The users with new interactions, ascending."""
        return np.unique(self.interactions.users[self.since :])

    @cached_property
    def items(self) -> NDArray[np.int32]:
        """The items with new interactions, ascending."""
        return np.unique(self.interactions.items[self.since :])

    def matrices(self) -> tuple[csr_matrix, csr_matrix]:
        """The summed weights of the users with new interactions [users × items], after these and before."""
        return self._of_users(self._events).matrix, self._of_users(self._events[self._events < self.since]).matrix

    def histories(self) -> tuple[Histories, NDArray[np.int64]]:
        """The histories of the users with new interactions, and how many of the events of each are new [users]."""
        fresh = np.bincount(self.interactions.users[self.since :], minlength=len(self.interactions.user_ids))
        return self._of_users(self._events), fresh[self.users]

    def user_count(self) -> int:
        """How many users had interactions before."""
        return int(np.count_nonzero(np.bincount(self.interactions.users[: self.since])))

    @cached_property
    def _events(self) -> NDArray[np.int64]:
        """The events of the users with new interactions, in order of arrival."""
        touched = np.zeros(len(self.interactions.user_ids), dtype=np.bool_)
        touched[self.users] = True
        return np.flatnonzero(touched[self.interactions.users])

    def _of_users(self, events: NDArray[np.int64]) -> Histories:
        told = self.interactions
        rows, shape = np.searchsorted(self.users, told.users[events]), (len(self.users), len(told.item_ids))
        return Histories.from_events(rows, told.items[events], told.weights[events], told.times[events], shape=shape)

    def moved(self, name: str) -> NDArray[Any]:
        """An array of the earlier model whose first axis is items, with its rows where the items are now; zero for new items."""
        array = self.arrays[name]
        made = np.zeros((len(self.interactions.item_ids), *array.shape[1:]), dtype=array.dtype)
        made[self.columns] = array
        return made

    def popularity(self) -> NDArray[np.float32]:
        """`Interactions.popularity` of now [items], from that of before and the events of the pairs that may have changed."""
        before = self.moved("popularity")
        touched_item = np.zeros(len(before), dtype=np.bool_)
        touched_item[self.items] = True
        pairs = self._events[touched_item[self.interactions.items[self._events]]]
        now, then = self.interactions.part(pairs).popularity(), self.interactions.part(pairs[pairs < self.since]).popularity()
        moved = np.maximum(before + (now - then), 0)
        # What is left of a sum that was taken away again is rounding, not a like.
        return np.where(touched_item & (moved < 1e-5 * (before + now)), 0, moved).astype(np.float32)
