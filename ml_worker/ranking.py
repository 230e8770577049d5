"""Makes lists: live histories through a model, put in order for the request, with a reason for every entry."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from core import experiments
from core.database import Pool, transaction
from core.experiments import Arm
from core.list_ids import Origin
from core.lists import ComputedList
from core.messages import RankPayload
from ml_worker.catalogue import Catalogues
from ml_worker.histories import UserHistories, read_histories, session_histories
from ml_worker.ranking_many import USERS_PER_BATCH, Look, ranked
from ml_worker.ranking_one import Ranked, answered
from ml_worker.recommenders.batches import ANSWERING_BYTES, keep_freed_memory
from ml_worker.registry import ModelUnusable, Registry, ServedModel
from ml_worker.settings import WorkerSettings
from ml_worker.view import Rules, View


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
    new_share: float = 0.0
    new_days: float = 30.0
    catalogues: Catalogues = field(default_factory=Catalogues)

    @property
    def _rules(self) -> Rules:
        return Rules(self.list_length, self.new_share, self.new_days)

    def compute(self, user_ids: Sequence[str]) -> dict[str, ComputedList]:
        """The lists of those of the users that exist, by user id; each by the arm of the running experiment the user belongs to.

        Raises `NoModel`, before the first training for instance.
        """
        return ranked(self._looks(user_ids))

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
                made |= ranked(looks)
        return made

    def _looks(self, user_ids: Sequence[str]) -> list[Look]:
        """What is to be ranked, for each arm of the running experiment that has any of the users."""
        with transaction(self.pool) as connection:
            experiment = experiments.running().run(connection)
            if experiment is None:
                return [self._look(connection, user_ids, Arm(), Origin("personal"))]
            looks = []
            for number, arm in enumerate(experiment.arms):
                members = [user_id for user_id in user_ids if experiment.arm_of(user_id) == number]
                origin = Origin("personal", experiment_id=experiment.id, arm=number)
                looks += [self._look(connection, members, arm, origin)] if members else []
        return looks

    def _look(self, connection: Connection[Any], user_ids: Sequence[str], arm: Arm, origin: Origin) -> Look:
        model, read_at = self._model_of(connection, arm), _now(connection)
        view = self._view(connection, model, user_ids, read_at)
        return Look(view, self._rules_of(arm), replace(origin, model_version_id=model.version_id))

    def _rules_of(self, arm: Arm) -> Rules:
        """The rules as the arm has them."""
        new_share = self.new_share if arm.new_share is None else arm.new_share
        return replace(self._rules, new_share=new_share, diversity=arm.diversity or 0.0)

    def _model_of(self, connection: Connection[Any], arm: Arm) -> ServedModel:
        """The model of an arm; the live one where that cannot be loaded any more, as the list then says."""
        try:
            return self._model(connection, arm.model_version)
        except NoModel:
            if arm.model_version is None:
                raise
            return self._model(connection)

    def rank(self, payload: RankPayload) -> Ranked:
        """The list that a request asks for, which no stored one can be; of a user by the user's arm, unless it names a model.

        Raises `NoModel`.
        """
        named = payload.narrowing.model_version
        with transaction(self.pool) as connection:
            arm, origin = (Arm(), Origin(payload.surface)) if named is not None else _arm_asked(connection, payload)
            model, read_at = self._model_of(connection, arm) if named is None else self._model(connection, named), _now(connection)
            asked = session_histories(payload.item_ids, columns=model.columns) if payload.user_id is None else [payload.user_id]
            view = self._view(connection, model, asked, read_at)
        if not view.read.user_ids:
            raise NoModel("user_not_found", f"there is no user {payload.user_id!r} any more")
        return answered(view, payload, self._rules_of(arm), replace(origin, model_version_id=model.version_id))

    def _view(self, connection: Connection[Any], model: ServedModel, asked: UserHistories | Sequence[str], read_at: datetime) -> View:
        catalogue = self.catalogues.current(connection, model)
        if not isinstance(asked, UserHistories):
            asked = read_histories(connection, asked, columns=catalogue.columns, size=catalogue.known, weights=self.weights)
        return View(model, catalogue, asked, catalogue.is_new(now=read_at.timestamp(), days=self.new_days), read_at)

    def _model(self, connection: Connection[Any], version_id: int | None = None) -> ServedModel:
        try:
            model = self.registry.current(connection) if version_id is None else self.registry.version(connection, version_id)
        except ModelUnusable as error:
            raise NoModel("model_unusable", str(error)) from error
        if model is None:
            raise NoModel("no_model", "no model has been trained yet: submit a `train` task first")
        return model


def _arm_asked(connection: Connection[Any], payload: RankPayload) -> tuple[Arm, Origin]:
    """The arm that the user of a request belongs to while an experiment runs, and what the list says of it; sessions belong to none."""
    origin = Origin(payload.surface)
    experiment = experiments.running().run(connection) if payload.user_id is not None else None
    if experiment is None or payload.user_id is None:
        return Arm(), origin
    number = experiment.arm_of(payload.user_id)
    return experiment.arms[number], replace(origin, experiment_id=experiment.id, arm=number)


def _now(connection: Connection[Any]) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def make_ranker(pool: Pool, registry: Registry, settings: WorkerSettings) -> Ranker:
    """The ranker of a process."""
    keep_freed_memory(ANSWERING_BYTES)
    return Ranker(
        pool,
        registry,
        weights=settings.interaction_weights,
        list_length=settings.list_length,
        new_share=settings.new_share,
        new_days=settings.new_days,
    )
