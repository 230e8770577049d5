"""What a model is asked and what would be right: for each question the items held out, in the order in which they happened."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.interactions import Interactions


class InvalidTruth(Exception):
    """Arrays that do not describe held-out items; the message says which and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Held-out items by question; a question is a user at a time (a user may be asked about several times, as in a replay).

    The items of question q stand at `offsets[q]:offsets[q + 1]` of `items` and `times`, oldest first, each once.
    """

    rows: NDArray[np.int64]  # [questions] row of the user in `user_ids`
    offsets: NDArray[np.int64]  # [questions + 1]
    items: NDArray[np.int32]  # [held out] column in `item_ids`
    times: NDArray[np.int64]  # [held out] seconds since the epoch, UTC
    unknown: NDArray[np.int64]  # [questions] further held-out items that have no column: nobody can find them, but they count

    def __post_init__(self) -> None:
        for name in ("rows", "unknown"):
            if getattr(self, name).shape != (len(self.offsets) - 1,):
                raise InvalidTruth(f"{name} has the shape {getattr(self, name).shape}, {len(self.offsets) - 1} questions need as many")
        is_rising = self.offsets[0] == 0 and (np.diff(self.offsets) >= 0).all()
        if not is_rising or self.offsets[-1] != len(self.items) or self.items.shape != self.times.shape:
            raise InvalidTruth(f"offsets must rise from 0 to the {len(self.items)} held-out items, with one time each")

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def from_events(
        cls, users: NDArray[np.integer], items: NDArray[np.integer], times: NDArray[np.integer], *, train: Interactions
    ) -> "Truth":
        """One question for each user with something to find, users ascending.

        An item number past the columns of `train` stands for one item that `train` does not know. What a user has met in `train` is
        left out (it is never recommended), and so are repetitions.
        """
        columns = len(train.item_ids)
        width = max(columns, int(items.max(initial=0)) + 1)
        order = np.lexsort((times, users))  # stable: equal times keep the order given
        keys = users[order].astype(np.int64) * width + items[order]
        is_first = np.zeros(len(keys), dtype=np.bool_)
        is_first[np.unique(keys, return_index=True)[1]] = True
        met = np.unique(train.users.astype(np.int64) * width + train.items)
        kept = order[is_first & ~_contains(met, keys)]
        rows, counts = np.unique(users[kept], return_counts=True)
        is_unknown = items[kept] >= columns
        question = np.repeat(np.arange(len(rows)), counts)
        unknown = np.bincount(question[is_unknown], minlength=len(rows)).astype(np.int64)
        known = kept[~is_unknown]
        offsets = np.r_[0, np.cumsum(counts - unknown)].astype(np.int64)
        return cls(rows.astype(np.int64), offsets, items[known].astype(np.int32), times[known].astype(np.int64), unknown)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many items there are to find [questions], those without a column included."""
        return np.diff(self.offsets) + self.unknown

    @property
    def questions(self) -> NDArray[np.int64]:
        """The question each held-out item belongs to [held out]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def take(self, questions: NDArray[np.integer] | NDArray[np.bool_]) -> "Truth":
        """Only these questions, by index or mask."""
        chosen = np.arange(len(self))[questions]
        counts = np.diff(self.offsets)[chosen]
        offsets = np.r_[0, np.cumsum(counts)].astype(np.int64)
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], counts)
        return Truth(self.rows[chosen], offsets, self.items[places], self.times[places], self.unknown[chosen])

    def only(self, is_wanted: NDArray[np.bool_]) -> "Truth":
        """Only these of the items [columns], and only the questions that then have something to find."""
        kept = is_wanted[self.items]
        counts = np.bincount(self.questions[kept], minlength=len(self))
        asked = np.flatnonzero(counts)
        offsets = np.r_[0, np.cumsum(counts[asked])].astype(np.int64)
        return Truth(self.rows[asked], offsets, self.items[kept], self.times[kept], np.zeros(len(asked), dtype=np.int64))

    def matrix(self, columns: int) -> csr_matrix:
        """The held-out items as a boolean matrix [questions × columns]."""
        values = np.ones(len(self.items), dtype=np.bool_)
        return csr_matrix((values, self.items, self.offsets), shape=(len(self), columns))


def _contains(ascending: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(keys), dtype=np.bool_)
    found: NDArray[np.bool_] = ascending[np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)] == keys
    return found
