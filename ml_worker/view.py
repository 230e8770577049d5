"""What one ranking looks at: a model, the catalogue, the histories of who asks, and the rules by which lists are made."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from core.entries import Entries
from core.lists import ComputedList
from ml_worker import reranking
from ml_worker.catalogue import Catalogue
from ml_worker.histories import UserHistories
from ml_worker.recommenders.selection import NOT_OFFERED
from ml_worker.registry import ServedModel


@dataclass(frozen=True, slots=True)
class Rules:
    """How long lists are, what share of them is new (released or added within `new_days`), and how diverse they are."""

    length: int
    new_share: float = 0.0
    new_days: float = 30.0
    diversity: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """`is_new` says which items of the catalogue are new; the histories were read at `read_at` of the database's clock."""

    model: ServedModel
    catalogue: Catalogue
    read: UserHistories
    is_new: NDArray[np.bool_]
    read_at: datetime

    def padded(self, known: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of the model's items as scores of the whole catalogue; what the model does not know is not offered."""
        late = len(self.catalogue.item_ids) - self.catalogue.known
        return np.pad(known, ((0, 0), (0, late)), constant_values=NOT_OFFERED) if late else known

    def profiles(self, rows: slice) -> NDArray[np.float32]:
        """How much the users like each category, or chose it [users × categories]."""
        liked = self.read.histories.matrix[rows].maximum(0)
        profiles: NDArray[np.float32] = np.asarray((liked @ self.catalogue.categories[: self.catalogue.known]).todense(), dtype=np.float32)
        for row, chosen in enumerate(self.read.preferred[rows]):
            if chosen:
                profiles[row] += self.catalogue.chosen(chosen)
        return profiles

    def new_first(
        self, wanted: NDArray[np.bool_], scores: NDArray[np.float32], profile: NDArray[np.float32], seen: NDArray[np.int32]
    ) -> list[int]:
        """The wanted items, best first: in turns those the model scores, and those it cannot, by likeness to the taste and by age."""
        wanted, known_count = wanted.copy(), self.catalogue.known
        wanted[seen] = False
        known = np.flatnonzero(wanted[:known_count] & np.isfinite(scores[:known_count]))
        scored = known[np.argsort(-scores[known], kind="stable")]
        late = np.flatnonzero(wanted[known_count:]) + known_count
        likeness = reranking.rare(self.catalogue.categories[late]) @ profile if len(late) else np.empty(0)
        strangers = late[np.lexsort((-self.catalogue.appeared[late], -likeness))]
        turns = np.concatenate([2 * np.arange(len(scored)), 2 * np.arange(len(strangers)) + 1])
        merged: list[int] = np.concatenate([scored, strangers])[np.argsort(turns, kind="stable")].tolist()
        return merged

    def made_list(self, row: int, list_id: UUID, entries: Entries, *, is_cold: bool) -> ComputedList:
        """The list of the user in a row of the histories."""
        return ComputedList(
            user_id=self.read.user_ids[row],
            list_id=list_id,
            model_version_id=self.model.version_id,
            entries=entries,
            is_cold=is_cold,
            history_count=self.read.counts[row],
            read_at=self.read_at,
        )
