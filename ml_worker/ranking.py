"""Makes the lists that are stored: live histories through the live model, with a reason for every entry."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg import Connection

from core.database import Pool, transaction
from core.lists import ComputedList, Entry, Reason
from ml_worker import dataset
from ml_worker.recommenders.base import Ranking
from ml_worker.registry import ModelUnusable, Registry, ServedModel


class NoModel(Exception):
    """No model can be served: `code` for programs, the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ranker:
    """Computes lists of `list_length` entries; `weights` say how strongly each interaction type speaks."""

    pool: Pool
    registry: Registry
    weights: dict[str, float]
    list_length: int

    def compute(self, user_ids: Sequence[str]) -> dict[str, ComputedList]:
        """The lists of those of the users that exist, by user id. Raises `NoModel`, before the first training for instance."""
        with transaction(self.pool) as connection:
            model = self._model(connection)
            read = dataset.read_histories(connection, user_ids, columns=model.columns, weights=self.weights)
            is_hidden = dataset.read_hidden(connection, model.columns)
        recommender = model.recommender
        rankings = recommender.recommend(read.histories, count=self.list_length, exclude=is_hidden)
        explanations = recommender.explain(read.histories, rankings)
        is_personal = recommender.is_personal(read.histories)
        return {
            user_id: ComputedList(
                user_id=user_id,
                list_id=uuid.uuid4(),
                model_version_id=model.version_id,
                entries=_entries(model, rankings[row], explanations[row], is_personal=bool(is_personal[row])),
                is_cold=not is_personal[row],
                history_count=read.counts[row],
            )
            for row, user_id in enumerate(read.user_ids)
        }

    def _model(self, connection: Connection[Any]) -> ServedModel:
        try:
            model = self.registry.current(connection)
        except ModelUnusable as error:
            raise NoModel("model_unusable", str(error)) from error
        if model is None:
            raise NoModel("no_model", "no model has been trained yet: submit a `train` task first")
        return model


def _entries(
    model: ServedModel, ranking: Ranking, explanations: Sequence[np.ndarray[tuple[int], np.dtype[np.int32]]], *, is_personal: bool
) -> tuple[Entry, ...]:
    item_ids = model.recommender.item_ids
    return tuple(
        Entry(
            item_id=item_ids[item],
            score=float(score),
            source="personal" if is_personal else "popular",
            reason=_reason([item_ids[spoke] for spoke in speaking]),
        )
        for item, score, speaking in zip(ranking.items, ranking.scores, explanations, strict=True)
    )


def _reason(item_ids: list[str]) -> Reason:
    return Reason("because_you_watched", tuple(item_ids)) if item_ids else Reason("popular")
