"""Popularity: the same order for everybody, without what they have seen; the baseline and everybody's cold answer."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.updating import Earlier


class Popular(Recommender):
    """What users together like most among the last of all events; no answer is personal.

    The score of an item is the sum over users of the strongest like of each, as in `Interactions.popularity`, over the last
    `recent_share` of the events by time. Items nobody liked in these are ordered behind by the popularity of all time.
    """

    name: ClassVar[str] = "popular"
    quality_floor: ClassVar[float] = 0.17  # measured: 0.178
    can_update: ClassVar[bool] = True

    class Config(Recommender.Config):
        """All time, unless told otherwise."""

        recent_share: float = Field(default=1.0, gt=0, le=1, description="The share of the events that counts, the latest ones.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        recent = self._count(interactions)
        progress(1.0, f"{len(interactions)} interactions counted")
        return {"recent": recent}

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        is_all_time = self.config.recent_share == 1
        recent = earlier.popularity() if is_all_time else self._count(earlier.interactions)
        progress(1.0, f"{len(earlier.interactions) - earlier.since} new interactions counted")
        return {"recent": recent}

    def _count(self, interactions: Interactions) -> NDArray[np.float32]:
        if self.config.recent_share == 1:
            return interactions.popularity()
        count = math.ceil(self.config.recent_share * len(interactions))
        latest = np.argsort(interactions.times, kind="stable")[len(interactions) - count :]
        return interactions.part(np.sort(latest)).popularity()

    def _layout(self, items: int) -> Layout:
        return {"recent": ((items,), np.float32)}

    def _prepare(self, arrays: Arrays) -> None:
        recent, popularity = arrays["recent"], arrays["popularity"]
        least = float(recent.min(where=recent > 0, initial=np.inf))
        greatest = float(popularity.max(initial=0))
        scale = least / (2 * greatest) if 0 < greatest < np.inf and least < np.inf else 1.0
        self._scores = np.where(recent > 0, recent, popularity * np.float32(scale)).astype(np.float32)

    @property
    def _cold(self) -> NDArray[np.float32]:
        return self._scores

    def _find_personal(self, histories: Histories) -> NDArray[np.bool_]:
        return np.zeros(len(histories), dtype=np.bool_)

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        return np.broadcast_to(self._scores, histories.matrix.shape)

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return np.zeros((len(ranked), history.matrix.nnz))
