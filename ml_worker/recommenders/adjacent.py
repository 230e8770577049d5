"""Adjacent items: what belongs between the events of a history, learnt from what stands shortly before and after each item."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders.base import Arrays, Progress, Recommender, TrainingDiverged
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.item_weights import ItemWeights


class Adjacent(ItemWeights):
    """Scores x·B, where B [items × items] was fitted to predict each event from those around it, in both directions.

    The context of the event at place t is c_t = Σ_{0<|k|≤W} |k|^−`decay`·e(i_{t+k}), W = `window`, over liked events only. With
    A = Σ u·cᵀc, C = Σ u·cᵀe(i_t), u = (n/mean n)^−`user_weight`: B = (A + diag(λ + q/(1−q)·diag A))⁻¹ C with a zero diagonal, a ridge
    regression with dropout q of inputs as in EASE (Steck 2019), of windows instead of whole histories. Without `ridge`, nothing is solved:
    B_ij = C_ij / (√(Σ_j C_ij · Σ_i C_ij) + `shrink`), the cosine of the windows (as contexts in item2vec, Barkan and Koenigstein 2016).
    The m-th last liked event of a user has x = (1+m)^−`fading`, events before the `recent` last ones 0. A and C depend on pairs of events
    only by their distance, so they are added up distance by distance; contexts reach past both ends of a history.

    Series, pages and evenings put items next to each other in histories; models of whole histories drown that. With `fading` 0 nothing
    is assumed about when the missing items were met.
    """

    name: ClassVar[str] = "adjacent"
    quality_floor: ClassVar[float] = 0.33  # measured: 0.347, with 2,000 items

    class Config(Recommender.Config):
        """The preset."""

        window: int = Field(default=6, ge=1, le=100, description="W: how many places apart events are still adjacent.")
        decay: float = Field(default=0.6, ge=0, le=4, description="The exponent by which adjacency fades with the distance.")
        ridge: float | None = Field(default=100.0, gt=0, le=1e6, description="λ: how strongly weights are drawn to 0; none: cosine.")
        dropout: float = Field(default=0.2, ge=0, lt=1, description="q: the share of inputs dropped.")
        user_weight: float = Field(default=0.5, ge=0, le=2, description="How much users of long histories are weighed down.")
        shrink: float = Field(default=5.0, gt=0, le=1e6, description="Counts in which few coincidences drown, for the cosine.")
        recent: int | None = Field(default=None, ge=1, le=10_000, description="How many last events of the user count; all without.")
        fading: float = Field(default=0.0, ge=0, le=4, description="The exponent by which the user's older events count less.")
        kept: int = Field(default=200, ge=1, le=100_000, description="Weights kept in each row.")
        dense_items: int = Field(default=10_000, ge=1, le=50_000, description="Most items that take part; memory grows with the square.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        chosen = linear.most_liked(linear.told(interactions.matrix(), 0), self.config.dense_items)
        around, both = self._sums(interactions, chosen, progress)
        weights = self._cosine(both) if self.config.ridge is None else self._solved(around, both)
        np.fill_diagonal(weights, 0)
        progress(0.9, "equations solved")
        whole = linear.spread(linear.keep_largest(weights, self.config.kept), chosen, len(interactions.item_ids))
        progress(1.0, f"{whole.nnz} weights kept")
        return linear.packed("effects", whole)

    def _sums(
        self, interactions: Interactions, chosen: NDArray[np.integer], progress: Progress
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A and C [chosen × chosen]; without a ridge A stays empty."""
        size, window = len(chosen), self.config.window
        place = np.full(len(interactions.item_ids), -1, dtype=np.int64)
        place[chosen] = np.arange(size)
        order = np.lexsort((interactions.times, interactions.users))
        order = order[(interactions.weights[order] > 0) & (place[interactions.items[order]] >= 0)]
        users, items = interactions.users[order], place[interactions.items[order]]
        lengths = np.bincount(users, minlength=1)
        mean = len(users) / max(1, int(np.count_nonzero(lengths)))
        said = ((lengths[users] / mean) ** -self.config.user_weight).astype(np.float32)
        one_sided = np.arange(1.0, window + 1) ** -self.config.decay
        kernel = np.r_[one_sided[::-1], 0.0, one_sided]
        overlaps = np.correlate(kernel, kernel, "full")[2 * window :]  # [d]: Σ_k kernel(k)·kernel(k + d)
        around = np.zeros(size * size if self.config.ridge is not None else 0, dtype=np.float32)
        both = np.zeros(size * size, dtype=np.float32)
        widest = min(2 * window if len(around) else window, int(lengths.max(initial=1)) - 1)
        for apart in range(1, widest + 1):
            first = np.flatnonzero(users[apart:] == users[:-apart])
            pairs, weights = items[first] * size + items[first + apart], said[first]
            if apart <= window:
                np.add.at(both, pairs, weights * np.float32(one_sided[apart - 1]))
            if len(around):
                np.add.at(around, pairs, weights * np.float32(overlaps[apart]))
            progress(0.7 * apart / widest, f"pairs {apart} apart")
        contexts = linear.both_sided(around.reshape(size, size)) if len(around) else around
        if len(around):
            frequency = np.bincount(items, weights=said, minlength=size)
            contexts[np.diag_indices(size)] += (overlaps[0] * frequency).astype(np.float32)
        return contexts, linear.both_sided(both.reshape(size, size))

    def _solved(self, around: NDArray[np.float32], both: NDArray[np.float32]) -> NDArray[np.float32]:
        strength = self.config.dropout / (1 - self.config.dropout)
        around[np.diag_indices(len(around))] += np.float32(self.config.ridge or 0) + strength * around.diagonal()
        try:
            with linear.one_thread():
                return linear.solve(around, both)
        except linear.NotDefinite as error:
            raise TrainingDiverged(f"adjacent: {error}; after training with {self.config!r}") from error

    def _cosine(self, both: NDArray[np.float32]) -> NDArray[np.float32]:
        root = np.sqrt(both.sum(axis=1))
        for row in range(len(both)):
            both[row] /= root[row] * root + np.float32(self.config.shrink)
        return both

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        dense: int = min(items, config.dense_items)
        kept: int = min(config.kept, dense)
        return 64 * events + 12 * dense**2 + 24 * dense * kept

    def _inputs(self, histories: Histories) -> csr_matrix:
        rows = np.repeat(np.arange(len(histories)), np.diff(histories.offsets))
        liked = histories.weights > 0
        rows, items = rows[liked], histories.items[liked]
        counts = np.bincount(rows, minlength=len(histories))
        age = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(rows))
        if self.config.recent is not None:
            counted = age < self.config.recent
            rows, items, age = rows[counted], items[counted], age[counted]
        said = ((1.0 + age) ** -self.config.fading).astype(np.float32)
        inputs = csr_matrix((said, (rows, items)), shape=histories.matrix.shape)
        if self.config.fading == 0:
            inputs.data[:] = 1  # an event twice says no more
        return inputs
