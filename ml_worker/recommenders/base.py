"""The recommender: public verbs that check and are the same for all, private ones that an algorithm writes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from ml_worker.recommenders.answers import Answer, MismatchedHistories, Scoring
from ml_worker.recommenders.batches import TILE_ROWS, TILE_SCORES, TRAINING_BYTES, keep_freed_memory, tiles
from ml_worker.recommenders.inner_product import InnerProductIndex
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.selection import count_broken
from ml_worker.recommenders.state import DamagedModel, Files, State, check_arrays, is_finite, pack, unpack
from ml_worker.recommenders.updating import Earlier, FullTrainingNeeded

Progress = Callable[[float, str], None]
"""Told the share done, 0 to 1, and a note for people; may raise to stop the training."""

Arrays = Mapping[str, NDArray[Any]]
Layout = Mapping[str, tuple[tuple[int | None, ...], type[np.generic]]]
"""Shape and dtype of every array of a state, by name; None stands for any length."""


class NotFitted(Exception):
    """A recommender that has neither been trained nor loaded was asked something."""


class NothingToLearn(Exception):
    """There is no positive interaction in the training data."""


class TrainingDiverged(Exception):
    """The training ended with numbers that are not finite."""


class ScoresNotFinite(Exception):
    """An algorithm scored with numbers that are not finite."""


class Ranking(NamedTuple):
    """The list of one user, best first, without padding; scores are comparable within the list only."""

    items: NDArray[np.int32]
    scores: NDArray[np.float32]


def ignore(_done: float, _note: str) -> None:
    """The progress nobody wants to hear."""


class Recommender(ABC):
    """A model: learns from `Interactions`, answers `Histories`.

    An algorithm is a name, a `Config` and four private verbs. `_fit` makes the arrays, `_layout` declares them, `_prepare`
    derives what serving needs from them, `_score` and `_contributions` serve. Users without a signal get the popular items,
    whatever the algorithm.
    """

    class Config(BaseModel):
        """What can be chosen about a training; saved with the model."""

        model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    quality_floor: ClassVar[float]
    """NDCG@10 that the contract test asks for on MovieLens ml-latest-small; how it is measured stands there."""
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "scipy")
    """The distributions whose versions are noted in the saved model."""
    can_update: ClassVar[bool] = False
    """Whether there is a partial training."""
    going_on: ClassVar[float] = 1.0
    """Which share of a training it takes to go on from a model of a part of the interactions; 1 where that cannot be."""
    scores_anyone: ClassVar[bool] = False
    """Whether `_score` may be asked about histories that like nothing too: then a few of them among many are not parted from the rest."""

    def __init__(self, config: Config | None = None) -> None:
        if config is not None and not isinstance(config, self.Config):
            raise TypeError(f"{type(self).__name__} is configured by {self.Config.__qualname__}, not {type(config).__qualname__}")
        self.config = config or self.Config()
        self._state: State | None = None
        self._made_cold_index: InnerProductIndex | None = None

    @property
    def is_fitted(self) -> bool:
        return self._state is not None

    @property
    def item_ids(self) -> Sequence[str]:
        """The ids of the columns. Raises `NotFitted`."""
        return self._fitted().item_ids

    def fit(self, interactions: Interactions, *, progress: Progress = ignore, start: "Recommender | None" = None) -> None:
        """Learn from nothing, whatever was learnt before; if it fails or `progress` raises, what was learnt before stays.

        `start` is of the same configuration, trained on a part of these very interactions: what learns step by step goes on from it,
        all else does not look at it. Raises `NothingToLearn`, `TrainingDiverged`.
        """
        popularity = interactions.popularity()
        if not (popularity > 0).any():
            raise NothingToLearn(f"none of {len(interactions)} interactions is positive in sum by user and item")
        keep_freed_memory(TRAINING_BYTES)
        learnt = self._fit(interactions, progress) if start is None else self._go_on(start, interactions, progress)
        self._learn({"popularity": popularity, **learnt}, interactions)

    def update(self, interactions: Interactions, *, since: int, progress: Progress = ignore) -> None:
        """Bring the model up to all of `interactions`, of which those at index `since` and after are new to it.

        A partial training: much quicker than `fit`, and close to what it would give. The others must be those it was fitted on.
        If it fails or `progress` raises, what was learnt before stays. Raises `NotFitted`, `FullTrainingNeeded`, `TrainingDiverged`.
        """
        state = self._fitted()
        if not self.can_update:
            raise FullTrainingNeeded(f"{self.name} has no partial training")
        keep_freed_memory(TRAINING_BYTES)
        earlier = Earlier.of(state, interactions, since=since)
        learnt = self._update(earlier, progress)
        self._learn({"popularity": earlier.popularity(), **learnt}, interactions)

    @classmethod
    def predicted_bytes(cls, config: Config, *, users: int, items: int, events: int) -> int:
        """About how much memory a training takes at its peak, beside the interactions themselves."""
        # Sorting and summing the events of the pairs takes a dozen numbers an event.
        return 96 * events + 8 * (users + items) + cls._predicted_bytes(config, users, items, events)

    def is_personal(self, histories: Histories) -> NDArray[np.bool_]:
        """For each user, whether the answer is personal; else it is the popular items."""
        self._check(histories)
        return self._find_personal(histories)

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """The score of every item for every user [batch × items], what was seen included; comparable within a row only.

        Whoever gets no personal answer has the popularity. Always finite. Raises `NotFitted`, `MismatchedHistories`, `ScoresNotFinite`.
        """
        items = self._check(histories)
        if len(histories) <= TILE_ROWS and len(histories) * items <= TILE_SCORES:
            return self._score_all(histories)
        scores = np.empty((len(histories), items), dtype=np.float32)
        done = 0
        for tile in tiles(histories):
            scores[done : done + len(tile)] = self._score_all(tile)
            done += len(tile)
        return scores

    def answer(self, histories: Histories) -> Answer:
        """All that may be asked about these users, of whom there are no more than whose scores fit into memory.

        Raises `NotFitted`, `MismatchedHistories`.
        """
        self._check(histories)
        return self._answer(histories)

    def recommend(self, histories: Histories, *, count: int, exclude: NDArray[np.bool_] | None = None) -> list[Ranking]:
        """For each user the `count` best items of the whole catalogue, never one that is seen or excluded [items].

        Shorter where fewer are left. Raises `NotFitted`, `MismatchedHistories`, `InvalidCount`, `ScoresNotFinite`.
        """
        self._check(histories)
        rankings: list[Ranking] = []
        for tile in tiles(histories):
            items, scores, lengths = self.answer(tile).best(count=count, exclude=exclude)
            rankings += [Ranking(items[row, :kept].copy(), scores[row, :kept].copy()) for row, kept in enumerate(lengths.tolist())]
        return rankings

    def speakers(self, histories: Histories, ranked: NDArray[np.int32], *, count: int = 3) -> NDArray[np.int32]:
        """For each ranked item the up to `count` liked items of the user's history that speak most for it, strongest first.

        `ranked` [users × ranked] and the answer [users × ranked × count] are padded with −1; nothing speaks where the answer is not
        personal. Raises `NotFitted`, `MismatchedHistories`, `InvalidCount`.
        """
        return self.answer(histories).speakers(ranked, count=count)

    def save(self) -> dict[str, bytes]:
        """The model as files: `arrays.npz` and `model.json`. Raises `NotFitted`."""
        return pack(self._fitted(), libraries=self.libraries)

    @classmethod
    def load(cls, files: Files) -> Self:
        """The model that was saved. Raises `DamagedModel`, `NewerModelFormat`."""
        return cls.from_state(unpack(files))

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The model with this state. Raises `DamagedModel` if it is not one of this algorithm."""
        if state.algorithm != cls.name:
            raise DamagedModel(f"the model was made by {state.algorithm!r}, not by {cls.name!r}")
        try:
            made = cls(cls.Config.model_validate(state.config))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(["config", *(str(part) for part in first["loc"])])
            raise DamagedModel(f"model.json: {place}: {first['msg']}") from error
        made._adopt(state, lambda broken: DamagedModel(f"{broken} holds numbers that are not finite"))
        return made

    @abstractmethod
    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        """Train and return the arrays that `_layout` declares, without touching `self`."""

    def _go_on(self, start: "Recommender", interactions: Interactions, progress: Progress) -> Arrays:
        """As `_fit`, from a model of a part of the interactions and with the same columns."""
        return self._fit(interactions, progress)

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        """As `_fit`, starting from the earlier model; written where `can_update`."""
        raise NotImplementedError

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        """What `_fit` takes at its peak beside some copies of the events."""
        return 0

    @abstractmethod
    def _layout(self, items: int) -> Layout:
        """The arrays of a model of so many items, beside the common `popularity`."""

    @abstractmethod
    def _prepare(self, arrays: Arrays) -> None:
        """Take over checked arrays and derive what serving needs."""

    @abstractmethod
    def _score(self, histories: Histories) -> NDArray[np.float32]:
        """The scores of all items [users × items] for histories that each like something the model knows; the array is written into."""

    @abstractmethod
    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        """How much each item of one user's history, `history.matrix.indices`, adds to the score of each ranked item."""

    def _parts(self, histories: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        """`_contributions` of several users [users × ranked × longest history], 0 behind the end of shorter ones.

        Of −1 in `ranked` [users × ranked] anything may be said.
        """
        lengths = np.diff(histories.matrix.indptr)
        parts = np.zeros((*ranked.shape, int(lengths.max(initial=0))))
        for row, length in enumerate(lengths.tolist()):
            kept = ranked[row] >= 0
            parts[row, kept, :length] = self._contributions(histories.take([row]), ranked[row, kept])
        return parts

    def _answer(self, histories: Histories) -> Answer:
        """An algorithm's own, where it knows shorter ways than all scores."""
        return Answer(histories, self._find_personal(histories), score=self._score_all, parts=self._parts)

    def _find_personal(self, histories: Histories) -> NDArray[np.bool_]:
        # An item that nobody liked when the model was trained says nothing about the user's taste.
        matrix = histories.matrix
        speaking = np.flatnonzero((matrix.data > 0) & (self._popularity.take(matrix.indices) > 0))
        is_personal: NDArray[np.bool_] = np.diff(np.searchsorted(speaking, matrix.indptr)) > 0
        return is_personal

    @property
    def _cold(self) -> NDArray[np.float32]:
        """The scores for users without a signal [items]."""
        return self._popularity

    def _cold_index(self) -> InnerProductIndex:
        """`_cold` as vectors of length 1, in which the best for users without a signal are found; made when it is first asked for."""
        if self._made_cold_index is None:
            self._made_cold_index = InnerProductIndex(self._cold[:, None])
        return self._made_cold_index

    @property
    def _popularity(self) -> NDArray[np.float32]:
        return self._fitted().arrays["popularity"]

    def _fitted(self) -> State:
        if self._state is None:
            raise NotFitted(f"{self.name} has been neither trained nor loaded")
        return self._state

    def _check(self, histories: Histories) -> int:
        items = len(self.item_ids)
        if histories.matrix.shape[1] != items:
            raise MismatchedHistories(f"the histories have {histories.matrix.shape[1]} columns, the model has {items} items")
        return items

    def _learn(self, arrays: Arrays, interactions: Interactions) -> None:
        def diverged(broken: str) -> Exception:
            return TrainingDiverged(f"{self.name}: {broken} is not finite after training with {self.config!r}")

        self._adopt(State(self.name, self.config.model_dump(mode="json"), interactions.item_ids, arrays), diverged)

    def _adopt(self, state: State, not_finite: Callable[[str], Exception]) -> None:
        items = len(state.item_ids)
        layout: Layout = {"popularity": ((items,), np.float32), **self._layout(items)}
        check_arrays(state, layout)
        for name, array in state.arrays.items():
            if not is_finite(array):
                raise not_finite(name)
        self._prepare(state.arrays)
        self._state, self._made_cold_index = state, None

    def _score_all(self, histories: Histories, score: Scoring | None = None) -> NDArray[np.float32]:
        score = score or self._score
        personal = self._find_personal(histories)
        if personal.all() or (personal.any() and self.scores_anyone):
            # What is not its own array, or not one to write into, is copied.
            scores = np.require(score(histories), np.float32, ["C", "O", "W"])
        else:
            scores = np.empty(histories.matrix.shape, dtype=np.float32)
            if personal.any():
                scores[personal] = score(histories.take(np.flatnonzero(personal)))
        scores[~personal] = self._cold
        if broken := count_broken(scores):
            raise ScoresNotFinite(f"{self.name} scored {broken} of {len(scores)} users with numbers that are not finite")
        return scores
