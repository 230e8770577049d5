"""Makes lists: live histories through a model, put in order for the request, with a reason for every entry."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from core import experiments
from core.database import Pool, transaction
from core.entries import Entries
from core.experiments import Arm
from core.list_ids import Origin, new_list_id
from core.lists import ComputedList
from core.messages import RankPayload
from ml_worker import reranking
from ml_worker.catalogue import Catalogue, Catalogues
from ml_worker.explaining import Chosen, explained
from ml_worker.histories import UserHistories, read_histories, session_histories
from ml_worker.recommenders.base import Ranking
from ml_worker.recommenders.batches import TILE_SCORES, even_step
from ml_worker.recommenders.interactions import Histories
from ml_worker.recommenders.selection import NOT_OFFERED, best_first, best_of
from ml_worker.registry import ModelUnusable, Registry, ServedModel
from ml_worker.settings import WorkerSettings

USERS_PER_BATCH: Final = 256
POOL: Final = 4
"""Diversity and caps choose among so many times more than are asked for."""


class NoModel(Exception):
    """No model can be served: `code` for programs, the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ranked:
    """The answer to a request: entries in order, and what to know of them."""

    list: ComputedList
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _View:
    """What one ranking looks at: a model, the catalogue, who asks, and which items are new."""

    model: ServedModel
    catalogue: Catalogue
    read: UserHistories
    is_new: NDArray[np.bool_]
    read_at: datetime

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """The model's scores; items it does not know are not offered [users × items of the catalogue]."""
        known = self.model.recommender.scores(histories)
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

    def explained(self, chosen: Chosen) -> list[Entries]:
        """The entries of rankings, with reasons."""
        return explained(self.model.recommender, self.catalogue, self.is_new, chosen)


@dataclass(frozen=True, slots=True)
class Ranker:
    """Computes lists of `list_length` entries; `weights` say how strongly each interaction type speaks."""

    pool: Pool
    registry: Registry
    weights: dict[str, float]
    list_length: int
    new_share: float = 0.0
    new_days: float = 30.0
    diversity: float = 0.0
    catalogues: Catalogues = field(default_factory=Catalogues)

    def compute(self, user_ids: Sequence[str]) -> dict[str, ComputedList]:
        """The lists of those of the users that exist, by user id; each by the arm of the running experiment the user belongs to.

        Raises `NoModel`, before the first training for instance.
        """
        return _ranked(self._looks(user_ids))

    def compute_many(self, user_ids: Sequence[str], *, report: Callable[[int], None]) -> dict[str, ComputedList]:
        """`compute` for thousands, in batches: while one is ranked, the histories of the next are read.

        `report` is told how many users are done, and may raise to stop the work. Raises `NoModel`.
        """
        batches = [user_ids[start : start + USERS_PER_BATCH] for start in range(0, len(user_ids), USERS_PER_BATCH)]
        made: dict[str, ComputedList] = {}
        with ThreadPoolExecutor(1, thread_name_prefix="histories") as reader:
            coming = [reader.submit(self._looks, batch) for batch in batches[:1]]
            for number in range(len(batches)):
                report(number * USERS_PER_BATCH)
                looks = coming.pop().result()
                coming += [reader.submit(self._looks, batch) for batch in batches[number + 1 : number + 2]]
                made |= _ranked(looks)
        return made

    def _looks(self, user_ids: Sequence[str]) -> list["_Look"]:
        """What is to be ranked, for each arm of the running experiment that has any of the users."""
        with transaction(self.pool) as connection:
            experiment = experiments.running().run(connection)
            if experiment is None:
                return [self._look(connection, user_ids, Arm(), Origin("personal"))]
            looks = []
            for number, arm in enumerate(experiment.arms):
                members = [user_id for user_id in user_ids if experiment.arm_of(user_id) == number]
                chosen = replace(
                    self,
                    new_share=self.new_share if arm.new_share is None else arm.new_share,
                    diversity=self.diversity if arm.diversity is None else arm.diversity,
                )
                origin = Origin("personal", experiment_id=experiment.id, arm=number)
                looks += [chosen._look(connection, members, arm, origin)] if members else []
        return looks

    def _look(self, connection: Connection[Any], user_ids: Sequence[str], arm: Arm, origin: Origin) -> "_Look":
        model, read_at = self._model_of(connection, arm), _now(connection)
        return _Look(self, self._view(connection, model, user_ids, read_at), replace(origin, model_version_id=model.version_id))

    def _model_of(self, connection: Connection[Any], arm: Arm) -> ServedModel:
        """The model of an arm; the live one where that cannot be loaded any more, as the list then says."""
        try:
            return self._model(connection, arm.model_version)
        except NoModel:
            if arm.model_version is None:
                raise
            return self._model(connection)

    def rank(self, payload: RankPayload) -> Ranked:
        """The list that a request asks for, which no stored one can be. Raises `NoModel`."""
        with transaction(self.pool) as connection:
            model, read_at = self._model(connection, payload.narrowing.model_version), _now(connection)
            asked = session_histories(payload.item_ids, columns=model.columns) if payload.user_id is None else [payload.user_id]
            view = self._view(connection, model, asked, read_at)
        if not view.read.user_ids:
            raise NoModel("user_not_found", f"there is no user {payload.user_id!r} any more")
        return self._answer(view, payload)

    def _tile(self, view: _View, rows: slice, origin: Origin) -> dict[str, ComputedList]:
        read, histories = view.read, view.read.histories.take(np.arange(rows.start, rows.stop))
        scores, is_personal = view.scores(histories), view.model.recommender.is_personal(histories)
        profiles = view.profiles(rows)
        for row in np.flatnonzero(~is_personal & np.array([bool(chosen) for chosen in read.preferred[rows]], dtype=np.bool_)).tolist():
            scores[row] = reranking.led_by(scores[row], view.catalogue.categories @ profiles[row] > 0)
        _leave_out(scores, histories, ~view.catalogue.is_offered)
        items, values, lengths = best_of(scores, count=self.list_length)
        for row in self._unsettled(view, items, lengths):
            kept = int(lengths[row])
            ranking = Ranking(items[row, :kept], values[row, :kept])
            ranking = self._mixed(view, ranking, scores[row], profiles[row], histories.matrix[row].indices)
            items[row, : len(ranking.items)], values[row, : len(ranking.items)] = ranking
        entries = view.explained(Chosen(histories, items, values, profiles, is_personal))
        return {
            user_id: _list(view, rows.start + row, origin, entries[row], is_cold=not is_personal[row])
            for row, user_id in enumerate(read.user_ids[rows])
        }

    def _unsettled(self, view: _View, items: NDArray[np.int32], lengths: NDArray[np.int64]) -> list[int]:
        """The rows of the tile whose order is not simply that of the scores."""
        if self.diversity:
            return list(range(len(items)))
        if not (self.new_share and view.is_new.any()):
            return []
        keeps = reranking.keeps_share(view.is_new[items] & (items >= 0), share=self.new_share, count=self.list_length)
        return np.flatnonzero(~keeps | (lengths < self.list_length)).tolist()

    def _mixed(
        self, view: _View, ranking: Ranking, scores: NDArray[np.float32], profile: NDArray[np.float32], seen: NDArray[np.int32]
    ) -> Ranking:
        """One ranking with its diversity and its share of new items, as long as before or, by new ones, longer."""
        if self.diversity:
            ranking = reranking.mixed(ranking, view.catalogue.categories, self.diversity)
        if not (self.new_share and view.is_new.any()):
            return ranking
        if reranking.keeps_share(view.is_new[ranking.items], share=self.new_share, count=self.list_length):
            return ranking
        fresh = _new_first(view, view.is_new, scores, profile, seen)
        order = reranking.with_share(ranking.items.tolist(), fresh, share=self.new_share, count=self.list_length)
        return reranking.reordered(ranking, scores, order)

    def _answer(self, view: _View, payload: RankPayload) -> Ranked:
        wanted, catalogue, histories = payload.narrowing, view.catalogue, view.read.histories
        is_personal, profile = bool(view.model.recommender.is_personal(histories)[0]), view.profiles(slice(0, 1))[0]
        allowed = catalogue.mask(wanted)
        allowed[[catalogue.columns[item_id] for item_id in payload.item_ids if item_id in catalogue.columns]] = False
        scores = view.scores(histories)
        if not is_personal and view.read.preferred[0]:
            scores[0] = reranking.led_by(scores[0], catalogue.categories @ profile > 0)
        seen = np.empty(0, dtype=np.int32) if wanted.include_seen else histories.matrix.indices
        scores[0, ~allowed] = NOT_OFFERED
        scores[0, seen] = NOT_OFFERED
        count = wanted.offset + wanted.count
        is_chosen = wanted.diversity is not None or wanted.max_per_category is not None
        ranking = Ranking(*best_first(scores, count=count * POOL if is_chosen else count)[0])
        order = ranking.items.tolist()
        if wanted.diversity:
            chosen = reranking.diverse(ranking.items, ranking.scores, catalogue.categories, diversity=wanted.diversity, count=len(order))
            order = [order[place] for place in chosen]
        if len(order) < count:  # items newer than the model, which it cannot score
            order += _new_first(view, allowed & (np.arange(len(allowed)) >= catalogue.known), scores[0], profile, seen)
        if wanted.max_per_category is not None:
            order = reranking.capped(order, catalogue.categories, cap=wanted.max_per_category, count=count)
        share = self.new_share if wanted.new_share is None else wanted.new_share
        fresh = _new_first(view, view.is_new & allowed, scores[0], profile, seen) if share and wanted.max_per_category is None else []
        order = reranking.with_share(order, fresh, share=share, count=count)[wanted.offset :]
        hints = (f"nothing was released or added in the last {self.new_days:g} days",) if wanted.new_share and not fresh else ()
        shown = reranking.reordered(ranking, scores[0], order)
        entries = view.explained(Chosen(histories, shown.items[None, :], shown.scores[None, :], profile[None, :], np.array([is_personal])))
        origin = Origin(payload.surface, view.model.version_id)
        return Ranked(_list(view, 0, origin, entries[0], is_cold=not is_personal), hints)

    def _view(self, connection: Connection[Any], model: ServedModel, asked: UserHistories | Sequence[str], read_at: datetime) -> _View:
        catalogue = self.catalogues.current(connection, model)
        if not isinstance(asked, UserHistories):
            asked = read_histories(connection, asked, numbering=catalogue.numbering, size=catalogue.known, weights=self.weights)
        return _View(model, catalogue, asked, catalogue.is_new(now=read_at.timestamp(), days=self.new_days), read_at)

    def _model(self, connection: Connection[Any], version_id: int | None = None) -> ServedModel:
        try:
            model = self.registry.current(connection) if version_id is None else self.registry.version(connection, version_id)
        except ModelUnusable as error:
            raise NoModel("model_unusable", str(error)) from error
        if model is None:
            raise NoModel("no_model", "no model has been trained yet: submit a `train` task first")
        return model


@dataclass(frozen=True, slots=True)
class _Look:
    """Users whose histories were read, how their lists are to be made, and what these shall say of where they came from."""

    ranker: Ranker
    view: _View
    origin: Origin


def _ranked(looks: Sequence[_Look]) -> dict[str, ComputedList]:
    made: dict[str, ComputedList] = {}
    for look in looks:
        count, items = len(look.view.read.user_ids), len(look.view.catalogue.item_ids)
        step = even_step(count, at_most=min(USERS_PER_BATCH, TILE_SCORES // max(1, items)))
        for start in range(0, count, step):
            made |= look.ranker._tile(look.view, slice(start, min(start + step, count)), look.origin)
    return made


def _now(connection: Connection[Any]) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def make_ranker(pool: Pool, registry: Registry, settings: WorkerSettings) -> Ranker:
    """The ranker of a process."""
    return Ranker(
        pool,
        registry,
        weights=settings.interaction_weights,
        list_length=settings.list_length,
        new_share=settings.new_share,
        new_days=settings.new_days,
    )


def _leave_out(scores: NDArray[np.float32], histories: Histories, hidden: NDArray[np.bool_]) -> None:
    seen = histories.matrix
    scores[np.repeat(np.arange(len(histories)), np.diff(seen.indptr)), seen.indices] = NOT_OFFERED
    scores[:, np.flatnonzero(hidden)] = NOT_OFFERED


def _new_first(
    view: _View, wanted: NDArray[np.bool_], scores: NDArray[np.float32], profile: NDArray[np.float32], seen: NDArray[np.int32]
) -> list[int]:
    """The wanted items, best first: in turns those the model scores, and those it cannot, by likeness to the taste and by age."""
    wanted = wanted.copy()
    wanted[seen] = False
    known = np.flatnonzero(wanted[: view.catalogue.known] & np.isfinite(scores[: view.catalogue.known]))
    scored = known[np.argsort(-scores[known], kind="stable")]
    late = np.flatnonzero(wanted[view.catalogue.known :]) + view.catalogue.known
    likeness = reranking.rare(view.catalogue.categories[late]) @ profile if len(late) else np.empty(0)
    strangers = late[np.lexsort((-view.catalogue.appeared[late], -likeness))]
    turns = np.concatenate([2 * np.arange(len(scored)), 2 * np.arange(len(strangers)) + 1])
    merged: list[int] = np.concatenate([scored, strangers])[np.argsort(turns, kind="stable")].tolist()
    return merged


def _list(view: _View, row: int, origin: Origin, entries: Entries, *, is_cold: bool) -> ComputedList:
    return ComputedList(
        user_id=view.read.user_ids[row],
        list_id=new_list_id(origin),
        model_version_id=view.model.version_id,
        entries=entries,
        is_cold=is_cold,
        history_count=view.read.counts[row],
        read_at=view.read_at,
    )
