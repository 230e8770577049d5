"""EASE+: one linear model from all liked items to every item, solved in closed form (Steck 2019, with dropout of Steck 2020)."""

from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix

from ml_worker.recommenders import inverse, linear, threads
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender, TrainingDiverged
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.inverse import Change, Outline
from ml_worker.recommenders.item_weights import ItemWeights
from ml_worker.recommenders.neighbours import content_columns
from ml_worker.recommenders.updating import Earlier, FullTrainingNeeded

MOST_MISSED: Final = 0.7
"""Where a partial training would miss more of the change in P, everything is solved anew; measured: 0.04 to 0.6."""
MOST_ERROR: Final = 0.1
"""As much may P be wrong after many partial trainings, as a share of itself; each adds its own, as independent errors do."""


class Ease(ItemWeights):
    """Scores s = x·B, where B [items × items] has a zero diagonal and predicts what users like from the rest of what they like.

    x is 1 where a user likes an item, −`dislike` where they dislike it, 0 elsewhere. With X [users × items]:
    G = Xᵀ diag((n/mean n)^−`user_weight`) X,  P = (G + diag(λ + p/(1−p)·diag G))⁻¹,  B = −P / diag P.
    The first term weighs users of long histories down; the second is what dropout of inputs with probability p does in expectation.
    (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019; "Autoencoders that don't overfit towards the Identity", 2020.)
    Only the `kept` largest weights of each row are kept. P is dense: beyond `dense_items` only the most popular items take part, and the
    others are ordered by popularity behind them. Items nobody liked get the mean column of the items nearest in content, where items have
    features.
    """

    name: ClassVar[str] = "ease"
    can_update: ClassVar[bool] = True
    quality_floor: ClassVar[float] = 0.35  # measured: 0.361

    class Config(Recommender.Config):
        """The preset."""

        ridge: float = Field(default=200.0, gt=0, le=1e6, description="λ: how strongly weights are drawn to 0.")
        dropout: float = Field(default=0.5, ge=0, lt=1, description="p: the share of inputs dropped.")
        user_weight: float = Field(default=0.7, ge=0, le=2, description="How much users of long histories are weighed down.")
        dislike: float = Field(default=0.2, ge=0, le=1, description="How much a dislike counts against a like.")
        kept: int = Field(default=200, ge=1, le=100_000, description="Weights kept in each row.")
        dense_items: int = Field(default=10_000, ge=1, le=50_000, description="Most items solved for; memory grows with the square.")
        updatable_items: int = Field(
            default=6000, ge=0, le=50_000, description="Up to so many items P is kept for partial training, 4 bytes a pair."
        )
        content_neighbours: int = Field(default=20, ge=1, le=1000, description="Whose columns items without likes inherit.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        matrix = linear.told(interactions.matrix(), self.config.dislike)
        chosen, size = linear.most_liked(matrix, self.config.dense_items), len(interactions.item_ids)
        known = matrix[:, chosen]
        with linear.one_thread():
            weights = linear.user_weights(known, self.config.user_weight)
            system = linear.gram(known, weights, lambda done: progress(0.6 * done, "items compared"))
            system[np.diag_indices(len(chosen))] += self.config.ridge + _strength(self.config) * system.diagonal()
            try:
                solved = linear.invert(system)
            except linear.NotDefinite as error:
                raise TrainingDiverged(f"ease: {error}; after training with {self.config!r}") from error
            progress(0.9, "equations solved")
            is_updatable, own = len(chosen) <= self.config.updatable_items, solved.diagonal().copy()
            halved = inverse.half(solved) if is_updatable else np.empty(0, dtype=np.float32)
            effects = _effects(solved)
            kept = linear.keep_largest(effects, self.config.kept)
            left = right = np.empty((len(chosen), 0), dtype=np.float32)
            if is_updatable:
                local = inverse.strongest(kept, own, inverse.LOCAL * len(chosen))
                left, right = inverse.remainder(effects, own, local, known, weights)
        takes_part = np.zeros(size, dtype=np.bool_)
        takes_part[chosen] = True
        whole = linear.spread(kept, chosen, size)
        if interactions.item_features is not None:
            whole = content_columns(whole, interactions.item_features, chosen, self.config.content_neighbours)
        progress(1.0, f"{whole.nnz} weights kept")
        outline = {"inverse": halved, "left": _at(chosen, left, size), "right": _at(chosen, right, size)}
        return {**linear.packed("effects", whole), "takes_part": takes_part, **outline, "error": np.zeros((), dtype=np.float32)}

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        """Rows and columns of P of the items that users changed their mind about, as `inverse.corrected` finds them; the rest of P stays.

        How much of the change was missed is measured; where that is too much, now or over many partial trainings, all is solved anew.
        """
        was_in, size = earlier.moved("takes_part"), len(earlier.interactions.item_ids)
        if len(earlier.arrays["inverse"]) != was_in.sum() * (was_in.sum() + 1) // 2:
            raise FullTrainingNeeded(
                f"{was_in.sum()} items take part in this ease model; partial training needs at most "
                f"updatable_items = {self.config.updatable_items}"
            )
        news = _News.of(earlier, was_in, self.config)
        chosen, change, effects = news.chosen, news.change, linear.moved("effects", earlier)
        known = np.searchsorted(chosen, np.flatnonzero(was_in))
        before = inverse.widened(earlier.arrays["inverse"], known, len(chosen), 1 / self.config.ridge)
        diagonal = inverse.diagonal(before, len(chosen))

        def solve_anew() -> Arrays:
            return self._fit(earlier.interactions, lambda done, note: progress(0.5 + 0.5 * done, f"too much is new: {note}"))

        with linear.one_thread():
            local = inverse.strongest(linear.among(effects, was_in, chosen), diagonal, inverse.LOCAL * len(chosen))
            outline = Outline(diagonal, local, earlier.moved("left")[chosen], earlier.moved("right")[chosen])
            found = inverse.corrected(before, change, outline)
            progress(0.5, f"{len(earlier.users)} users compared")
            # Asked so that what is not a number is no either.
            if not (found[np.arange(len(found)), change.items] > 0).all():
                return solve_anew()
            places, (across, down) = chosen[change.items], _effects_of(found, change.items, diagonal)
            if len(chosen) < size:
                across, down = (_at(chosen, weights.T, size).T for weights in (across, down))
            (after, missing, rows), rest = threads.both(
                lambda: (*inverse.replaced(before, change, found, diagonal), linear.keep_largest(across, self.config.kept)),
                lambda: linear.replaced(effects, places, down, kept=self.config.kept, empties_rows=True),
            )
        error = float(np.hypot(earlier.arrays["error"], missing.error))
        if not (missing.missed <= MOST_MISSED and error <= MOST_ERROR):
            return solve_anew()
        changed = rest + linear.spread_rows(rows, places, size)
        takes_part = np.zeros(size, dtype=np.bool_)
        takes_part[chosen] = True
        progress(1.0, f"{len(found)} items solved again, {missing.missed:.0%} of the change missed")
        outlined = {"inverse": after, "left": earlier.moved("left"), "right": earlier.moved("right")}
        return {**linear.packed("effects", changed), "takes_part": takes_part, **outlined, "error": np.array(error, dtype=np.float32)}

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        dense: int = min(items, config.dense_items)
        # The equations, a copy while they are added up, and a block of users; then the kept weights.
        kept: int = min(config.kept, dense)
        return 8 * dense**2 + 8 * linear.BLOCK_ROWS * dense + 24 * dense * kept

    def _layout(self, items: int) -> Layout:
        outlined = {"inverse": ((None,), np.float32), "left": ((items, None), np.float32), "right": ((items, None), np.float32)}
        return {**super()._layout(items), "takes_part": ((items,), np.bool_), **outlined, "error": ((), np.float32)}

    def _inputs(self, histories: Histories) -> csr_matrix:
        return linear.told(histories.matrix, self.config.dislike)


class _News(NamedTuple):
    """What new events change of the equations."""

    chosen: NDArray[np.intp]  # [n] the items that take part now, ascending
    change: Change

    @classmethod
    def of(cls, earlier: Earlier, was_in: NDArray[np.bool_], config: Ease.Config) -> "_News":
        """Dropout adds to the diagonal what it adds to the squares; that the weights of users change a little too is left out."""
        changes, matrix = threads.both(lambda: earlier.changes, lambda: earlier.matrix)
        now, then = (linear.verdicts(weights, config.dislike) for weights in (changes.after, changes.before))
        moved = np.flatnonzero(now != then)
        users, now, then = changes.rows[moved], now[moved], then[moved]
        takes_part = was_in.copy()
        takes_part[changes.items[moved]] = True
        chosen = np.flatnonzero(takes_part)
        columns = np.searchsorted(chosen, changes.items[moved])
        items, place = np.unique(columns, return_inverse=True)
        said = linear.told(matrix, config.dislike)
        said = said if len(chosen) == len(takes_part) else said[:, chosen].tocsr()
        mean = earlier.since / max(earlier.user_count(), 1)
        weights = ((np.maximum(np.diff(said.indptr), 1) / mean) ** -config.user_weight).astype(np.float32)
        difference = csr_matrix((now - then, (users, columns)), shape=said.shape)
        grown = np.bincount(place, weights=weights[users] * (now**2 - then**2), minlength=len(items)).astype(np.float32)
        middle = (said - difference / 2).tocsr()
        return cls(chosen, Change(items, difference, middle, weights, np.float32(_strength(config) / 2) * grown))


def _strength(config: Ease.Config) -> float:
    """p/(1−p): what dropout adds to the diagonal of G, in units of it."""
    return config.dropout / (1 - config.dropout)


def _effects(solved: NDArray[np.float32]) -> NDArray[np.float32]:
    """B from P, in the place of P."""
    solved /= -solved.diagonal()[None, :].copy()
    np.fill_diagonal(solved, 0)
    return solved


def _effects_of(
    found: NDArray[np.float32], items: NDArray[np.intp], diagonal: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The rows and the columns of B [both items × n] by those of P, whose diagonal was another where these items are."""
    own, after = (np.arange(len(items)), items), diagonal.copy()
    after[items] = found[own]
    across, down = found / -after, found / -after[items, None]
    across[own] = down[own] = 0
    return across, down


def _at(places: NDArray[np.integer], rows: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Rows as those at `places` of a matrix with `size` rows; the others are 0."""
    if len(places) == size:
        return rows
    made = np.zeros((size, *rows.shape[1:]), dtype=np.float32)
    made[places] = rows
    return made
