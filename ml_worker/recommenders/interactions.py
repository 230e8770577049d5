"""The data recommenders learn from and the live histories they answer: plain arrays, checked once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix, csr_matrix


class InvalidInteractions(Exception):
    """Arrays that do not describe interactions; the message says which and where."""


class InvalidHistories(Exception):
    """A matrix or events that are no histories; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """Who met what, how strongly and when: the training data of every recommender.

    A weight says how much the event speaks for the item: positive liked, negative disliked, zero met without a verdict.
    Users and items of the vocabularies need not occur in any event. Raises `InvalidInteractions`.
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: NDArray[np.int32]  # [events] index into user_ids
    items: NDArray[np.int32]  # [events] index into item_ids
    weights: NDArray[np.float32]  # [events]
    times: NDArray[np.int64]  # [events] seconds since the epoch, UTC
    item_features: csr_matrix | None = None  # float32 [items × features], categories for instance
    user_features: csr_matrix | None = None  # float32 [users × features], preferred categories for instance

    def __post_init__(self) -> None:
        for name, dtype in (("users", np.int32), ("items", np.int32), ("weights", np.float32), ("times", np.int64)):
            _check_column(name, getattr(self, name), dtype=np.dtype(dtype), length=len(self.users))
        for name, ids in (("user_ids", self.user_ids), ("item_ids", self.item_ids)):
            _check_vocabulary(name, ids)
        _check_range("users", self.users, len(self.user_ids))
        _check_range("items", self.items, len(self.item_ids))
        _check_finite("weights", self.weights)
        _check_features("item_features", self.item_features, len(self.item_ids))
        _check_features("user_features", self.user_features, len(self.user_ids))

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def from_events(
        cls,
        user_ids: Sequence[str],
        item_ids: Sequence[str],
        weights: ArrayLike,
        times: ArrayLike,
        *,
        catalogue: Iterable[str] = (),
    ) -> "Interactions":
        """Interactions from one entry an event; `catalogue` adds items nobody met. The vocabularies are sorted."""
        users, items = sorted(set(user_ids)), sorted({*item_ids, *catalogue})
        # What does not fit into float32 becomes infinite and is refused like everything infinite.
        with np.errstate(over="ignore"):
            strengths = np.asarray(weights, dtype=np.float64).astype(np.float32)
        return cls(
            user_ids=tuple(users),
            item_ids=tuple(items),
            users=_indices(user_ids, users),
            items=_indices(item_ids, items),
            weights=strengths,
            times=np.asarray(times, dtype=np.int64),
        )

    def part(self, events: NDArray[np.integer] | NDArray[np.bool_]) -> "Interactions":
        """Only these events, given by index or mask; the vocabularies and features stay whole."""
        columns = {name: getattr(self, name)[events] for name in ("users", "items", "weights", "times")}
        return replace(self, **columns)

    def matrix(self) -> csr_matrix:
        """The weights as a float32 matrix [users × items]; several events of a pair are summed, zeros stay stored."""
        shape = (len(self.user_ids), len(self.item_ids))
        with np.errstate(over="ignore"):
            summed = coo_matrix((self.weights, (self.users, self.items)), shape=shape).tocsr()
        _check_finite("weights summed by user and item", summed.data)
        return summed

    def popularity(self) -> NDArray[np.float32]:
        """How much all users together like each item [items].

        A user's events of an item are summed and count no more than the strongest of them: nobody lifts an item by repetition.
        """
        matrix = self.matrix()
        if not matrix.nnz:
            return np.zeros(len(self.item_ids), dtype=np.float32)
        # In the order of the matrix: by user, then item; a pair starts where either changes.
        order = np.lexsort((self.items, self.users))
        users, items = self.users[order], self.items[order]
        is_start = np.r_[True, (users[1:] != users[:-1]) | (items[1:] != items[:-1])]
        counted = votes(matrix.data, self.weights[order], np.flatnonzero(is_start))
        return np.bincount(matrix.indices, weights=counted, minlength=len(self.item_ids)).astype(np.float32)

    def histories(self, rows: ArrayLike | None = None, *, before: int | None = None) -> "Histories":
        """The histories of the users in these rows of `user_ids` (all of them), with what happened before that second (everything)."""
        chosen = np.arange(len(self.user_ids)) if rows is None else np.asarray(rows, dtype=np.int64)
        order = np.lexsort((self.times, self.users))  # stable: equal times keep the order of arrival
        if before is not None:
            order = order[self.times[order] < before]
        ends = np.cumsum(np.bincount(self.users[order], minlength=len(self.user_ids))).astype(np.int64)
        offsets, places = _ranges(np.r_[np.int64(0), ends[:-1]][chosen], ends[chosen])
        events = order[places]
        asked, shape = np.repeat(np.arange(len(chosen)), np.diff(offsets)), (len(chosen), len(self.item_ids))
        with np.errstate(over="ignore"):
            matrix = coo_matrix((self.weights[events], (asked, self.items[events])), shape=shape).tocsr()
        return Histories(matrix, offsets, self.items[events], self.weights[events], self.times[events])


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """The live histories of a batch of users, in the columns of a model: their events in order, and the same summed.

    `matrix` is float32 [batch × items of the model]: positive = liked, negative = disliked, stored zeros = seen without a verdict.
    Every stored entry is seen. The events of row r stand at `offsets[r]:offsets[r + 1]` of `items`, `weights` and `times`,
    oldest first; equal times keep the order in which they were given. Raises `InvalidHistories`.
    """

    matrix: csr_matrix
    offsets: NDArray[np.int64]  # [batch + 1]
    items: NDArray[np.int32]  # [events] columns
    weights: NDArray[np.float32]  # [events]
    times: NDArray[np.int64]  # [events] seconds since the epoch, UTC

    def __post_init__(self) -> None:
        _check_history_matrix(self.matrix)
        for name, dtype in (("offsets", np.int64), ("items", np.int32), ("weights", np.float32), ("times", np.int64)):
            column = getattr(self, name)
            length = len(self) + 1 if name == "offsets" else len(self.items)
            if column.shape != (length,) or column.dtype != dtype:
                raise InvalidHistories(f"{name} is {column.dtype} {column.shape}, these histories need {np.dtype(dtype)} ({length},)")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.items) or (np.diff(self.offsets) < 0).any():
            raise InvalidHistories(f"offsets must rise from 0 to the {len(self.items)} events")

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    @classmethod
    def from_events(
        cls, rows: ArrayLike, items: ArrayLike, weights: ArrayLike, times: ArrayLike | None = None, *, shape: tuple[int, int]
    ) -> "Histories":
        """Histories from one entry an event: the row of its user, the column of its item, its weight, its second.

        Without times the order given is the order in time.
        """
        places = tuple(np.asarray(places, dtype=np.int64) for places in (rows, items))
        with np.errstate(over="ignore"):
            strengths = np.asarray(weights, dtype=np.float64).astype(np.float32)
        seconds = np.zeros(len(strengths), dtype=np.int64) if times is None else np.asarray(times, dtype=np.int64)
        for name, column, size in zip(("rows", "items"), places, shape, strict=True):
            if column.shape != strengths.shape:
                raise InvalidHistories(f"{name} has the shape {column.shape}, weights {strengths.shape}; both have one entry an event")
            if len(column) and (column.min() < 0 or column.max() >= size):
                raise InvalidHistories(f"{name} reach from {column.min()} to {column.max()}, outside 0 to {size - 1}")
        if seconds.shape != strengths.shape:
            raise InvalidHistories(f"times has the shape {seconds.shape}, weights {strengths.shape}; both have one entry an event")
        order = np.lexsort((seconds, places[0]))  # stable: equal times keep their order
        offsets = np.r_[0, np.cumsum(np.bincount(places[0], minlength=shape[0]))].astype(np.int64)
        matrix = coo_matrix((strengths, places), shape=shape).tocsr()
        return cls(matrix, offsets, places[1][order].astype(np.int32), strengths[order], seconds[order])

    def take(self, rows: ArrayLike) -> "Histories":
        """The histories of these rows, in this order."""
        chosen = np.asarray(rows, dtype=np.int64)
        offsets, events = _ranges(self.offsets[chosen], self.offsets[chosen + 1])
        return Histories(self.matrix[chosen], offsets, self.items[events], self.weights[events], self.times[events])


def votes(sums: NDArray[np.float32], weights: NDArray[np.float32], starts: NDArray[np.integer]) -> NDArray[np.float32]:
    """What pairs of a user and an item count in `popularity`: the sum of their events, but no more than the strongest, and never below 0.

    The `weights` of the events of a pair stand together, from its entry in `starts` on.
    """
    counted: NDArray[np.float32] = np.minimum(sums, np.maximum.reduceat(weights, starts)).clip(min=0)
    return counted


def _ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All places from each start to before its end, one range after the other, and where the ranges begin in them."""
    offsets = np.r_[0, np.cumsum(ends - starts)].astype(np.int64)
    return offsets, np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)


def _check_history_matrix(matrix: csr_matrix) -> None:
    if not isinstance(matrix, csr_matrix) or matrix.dtype != np.float32:
        dtype = getattr(matrix, "dtype", "no dtype")
        raise InvalidHistories(f"histories are a csr_matrix of float32, not {type(matrix).__name__} of {dtype}")
    if not np.isfinite(matrix.data).all():
        row = int(np.searchsorted(matrix.indptr, np.flatnonzero(~np.isfinite(matrix.data))[0], side="right")) - 1
        raise InvalidHistories(f"the history in row {row} holds a weight that is not a finite number")


def _indices(ids: Sequence[str], vocabulary: list[str]) -> NDArray[np.int32]:
    index = {entry: place for place, entry in enumerate(vocabulary)}
    return np.fromiter(map(index.__getitem__, ids), dtype=np.int32, count=len(ids))


def _check_column(name: str, column: NDArray[np.generic], *, dtype: np.dtype[np.generic], length: int) -> None:
    if column.ndim != 1 or len(column) != length:
        raise InvalidInteractions(f"{name} has the shape {column.shape}; all columns have one entry an event, as users has {length}")
    if column.dtype != dtype:
        raise InvalidInteractions(f"{name} is of {column.dtype}, not {dtype}")


def _check_vocabulary(name: str, ids: tuple[str, ...]) -> None:
    wrong = next((place for place, entry in enumerate(ids) if not isinstance(entry, str)), None)
    if wrong is not None:
        raise InvalidInteractions(f"{name}[{wrong}] is {type(ids[wrong]).__name__}, not str")
    if len(set(ids)) != len(ids):
        raise InvalidInteractions(f"{name} names {len(ids) - len(set(ids))} ids more than once")


def _check_range(name: str, column: NDArray[np.int32], size: int) -> None:
    wrong = np.flatnonzero((column < 0) | (column >= size))
    if len(wrong):
        raise InvalidInteractions(f"{name}[{wrong[0]}] is {column[wrong[0]]}, outside a vocabulary of {size}")


def _check_finite(name: str, column: NDArray[np.float32]) -> None:
    wrong = np.flatnonzero(~np.isfinite(column))
    if len(wrong):
        raise InvalidInteractions(f"{name}[{wrong[0]}] is {column[wrong[0]]}, not a finite number")


def _check_features(name: str, features: csr_matrix | None, rows: int) -> None:
    if features is None:
        return
    if not isinstance(features, csr_matrix) or features.dtype != np.float32 or features.shape[0] != rows:
        found = f"{type(features).__name__} of {getattr(features, 'dtype', 'no dtype')} {getattr(features, 'shape', '')}"
        raise InvalidInteractions(f"{name} is a csr_matrix of float32 with {rows} rows, not {found}")
    _check_finite(name, features.data)
