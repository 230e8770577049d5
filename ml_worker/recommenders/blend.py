"""The blend: several models asked at once, their scores made comparable and added up by weights."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ml_worker.recommenders.adjacent import Adjacent
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.answers import Answer
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender
from ml_worker.recommenders.blend_answers import Asked, BlendAnswer, Keeping
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.infinite_ae import InfiniteAe
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.item_knn import ItemKnn
from ml_worker.recommenders.lightfm import LightFm
from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.recurrent import Recurrent
from ml_worker.recommenders.sequential import Sequential
from ml_worker.recommenders.state import DamagedModel, State
from ml_worker.recommenders.updating import Earlier, FullTrainingNeeded

PARTS: Final[dict[str, type[Recommender]]] = {
    algorithm.name: algorithm for algorithm in (Popular, ItemKnn, Als, LightFm, Ease, Sequential, Adjacent, InfiniteAe, Recurrent)
}
"""The algorithms a blend can be made of, by name."""


class Part(BaseModel):
    """One model of a blend. A weight of 0 trains it without counting it: a second stage may still look at its scores."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    algorithm: str
    weight: float = Field(default=1.0, ge=0, le=1e6)
    config: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("algorithm")
    @classmethod
    def _exists(cls, name: str) -> str:
        if name not in PARTS:
            raise ValueError(f"no part is named {name!r}; known are {', '.join(sorted(PARTS))}")
        return name

    def made(self) -> Recommender:
        """The model, untrained. Raises `ValidationError` if its parameters are wrong."""
        algorithm = PARTS[self.algorithm]
        return algorithm(algorithm.Config.model_validate(dict(self.config)))


_PRESET: Final = (
    Part(algorithm="ease"),
    Part(algorithm="als", weight=0.5),
    Part(algorithm="adjacent", weight=0.3),
    Part(algorithm="popular", weight=0.0),
)


class Blend(Recommender):
    """Scores s = Σ w·(s_p − mean s_p) / std s_p over the parts p, mean and deviation over all items, for each user apart.

    Standard scores make models comparable whose scores mean different things; unlike ranks they keep how sure a model is. What the
    weights should be depends on the data: they are chosen on held-out events (`ml_worker.choice`), the preset is only a start.
    """

    name: ClassVar[str] = "blend"
    quality_floor: ClassVar[float] = 0.365  # measured: 0.375, with 2,000 items in the linear parts
    libraries: ClassVar[tuple[str, ...]] = tuple(sorted({library for part in PARTS.values() for library in part.libraries}))
    can_update: ClassVar[bool] = True

    class Config(Recommender.Config):
        """The preset."""

        parts: tuple[Part, ...] = Field(default=_PRESET, min_length=1, max_length=32, description="The models.")

        @field_validator("parts")
        @classmethod
        def _can_be_trained(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
            if not any(part.weight > 0 for part in parts):
                raise ValueError("at least one part has a weight above 0")
            for part in parts:
                try:
                    part.made()
                except ValidationError as error:
                    first = error.errors()[0]
                    place = ".".join(str(step) for step in first["loc"])
                    raise ValueError(f"{part.algorithm}.{place}: {first['msg']}") from error
            return parts

    config: Config

    @property
    def parts(self) -> list[Recommender]:
        """The trained parts, in the order of the configuration. Raises `NotFitted`."""
        self._fitted()
        return self._parts_made

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        return self._fit_parts([None] * len(self.config.parts), interactions, progress)

    def _go_on(self, start: Recommender, interactions: Interactions, progress: Progress) -> Arrays:
        assert isinstance(start, Blend)
        return self._fit_parts(start._parts_made, interactions, progress)

    def _fit_parts(self, starts: Sequence[Recommender | None], interactions: Interactions, progress: Progress) -> Arrays:
        arrays: dict[str, NDArray[Any]] = {}
        for number, (part, start) in enumerate(zip(self.config.parts, starts, strict=True)):
            made = part.made()
            made.fit(interactions, progress=self._stage(progress, number), start=start)
            arrays |= _prefixed(number, made)
        return arrays

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        arrays: dict[str, NDArray[Any]] = {}
        known = tuple(earlier.interactions.item_ids[column] for column in earlier.columns)
        for number, part in enumerate(self.config.parts):
            told = self._stage(progress, number)
            made = part.made()
            if made.can_update:
                made = _loaded(number, made, known, earlier.arrays)
            _bring_up(made, earlier, told)
            arrays |= _prefixed(number, made)
        return arrays

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        # One part is trained after the other; what they are made of stays.
        parts = [part.made() for part in config.parts]
        return max((part.predicted_bytes(part.config, users=users, items=items, events=events) for part in parts), default=0)

    def _layout(self, items: int) -> Layout:
        layout: dict[str, Any] = {}
        for number, part in enumerate(self.config.parts):
            own = {"popularity": ((items,), np.float32), **part.made()._layout(items)}
            layout |= {f"{number}/{name}": shape for name, shape in own.items()}
        return layout

    def _prepare(self, arrays: Arrays) -> None:
        # Parts are asked in columns; nobody asks them for the ids of their items.
        columns = ("",) * len(arrays["popularity"])
        self._parts_made = [_loaded(number, part.made(), columns, arrays) for number, part in enumerate(self.config.parts)]

    @classmethod
    def of_parts(cls, config: "Blend.Config", made: Sequence[Recommender]) -> "Blend":
        """The blend of parts that are trained already, on the same interactions."""
        arrays: dict[str, NDArray[Any]] = {"popularity": made[0]._fitted().arrays["popularity"]}
        for number, part in enumerate(made):
            arrays |= _prefixed(number, part)
        return cls.of_arrays(config, arrays)

    @property
    def _cold(self) -> NDArray[np.float32]:
        # Strangers get what the popular part calls popular, recently for instance.
        return next((made._cold for made in self._parts_made if isinstance(made, Popular)), self._popularity)

    def _answer(self, histories: Histories) -> Answer:
        return BlendAnswer(super()._answer(histories), self._blended, score_all=self._score_all)

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        return self._blended(histories, lambda asked: None)

    def _blended(self, histories: Histories, keep: Keeping) -> NDArray[np.float32]:
        total = np.zeros(histories.matrix.shape, dtype=np.float32)
        for asked, standard in self.ask(histories):
            total += np.float32(asked.weight) * standard
            keep(asked)
        return total

    def ask(self, histories: Histories, *, weightless: bool = False) -> Iterator[tuple[Asked, NDArray[np.float32]]]:
        """The answer of each part that counts, or of all of them, and its standard scores."""
        for part, made in zip(self.config.parts, self._parts_made, strict=True):
            if part.weight > 0 or weightless:
                answer = made.answer(histories)
                standard, spread = _standardized(answer._scores())
                yield Asked(answer, part.weight, _scale(part.weight, spread, answer.is_personal)), standard

    def combined(self, scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The blended scores from the standard scores of each part [users × items]."""
        total = np.zeros_like(scores[0])
        for part, of_part in zip(self.config.parts, scores, strict=True):
            if part.weight > 0:
                total += np.float32(part.weight) * of_part
        return total

    @classmethod
    def of_arrays(cls, config: "Blend.Config", arrays: Arrays) -> "Blend":
        """The blend with these arrays, for a model that contains one: its columns have no ids. Raises `DamagedModel`."""
        columns = ("",) * len(arrays["popularity"])
        return cls.from_state(State(cls.name, config.model_dump(mode="json"), columns, arrays))

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        parts: NDArray[np.floating] = self._parts(history, ranked[None, :])[0]
        return parts

    def _parts(self, histories: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        total = np.zeros((*ranked.shape, int(np.diff(histories.matrix.indptr).max(initial=0))))
        for part, made in zip(self.config.parts, self._parts_made, strict=True):
            is_personal = made.is_personal(histories)
            if part.weight > 0 and is_personal.any():
                _, spread = _standardized(made.scores(histories))
                total += _scale(part.weight, spread, is_personal)[:, None, None] * made._parts(histories, ranked)
        return total

    def _stage(self, progress: Progress, number: int) -> Progress:
        """Map the share done of one part into the share done of the blend."""
        count, name = len(self.config.parts), self.config.parts[number].algorithm
        return lambda done, note: progress((number + done) / count, f"{name}: {note}")


def standardized(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row with mean 0 and standard deviation 1; rows that do not vary become 0."""
    return _standardized(scores)[0]


def _standardized(scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.floating]]:
    """The standard scores, and the deviation by which each row was divided [rows]."""
    centred: NDArray[np.float32] = scores - scores.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    largest = np.abs(centred).max(axis=1, keepdims=True, initial=0)
    # Scaled first: the square of a large float32 is infinite.
    centred /= np.where(largest > 0, largest, 1)
    spread = centred.std(axis=1, keepdims=True)
    centred /= np.where(spread > 0, spread, 1)
    return centred, (largest.astype(np.float64) * spread)[:, 0]


def _scale(weight: float, spread: NDArray[np.floating], is_personal: NDArray[np.bool_]) -> NDArray[np.floating]:
    """What a part's contributions count in the blend [users]."""
    return np.where(is_personal, weight / np.where(spread > 0, spread, 1), 0)


def _bring_up(made: Recommender, earlier: Earlier, progress: Progress) -> None:
    """A partial training of a part, or a full one where it has none or is past its limits: better than to leave all of the blend behind."""
    if made.can_update:
        try:
            made.update(earlier.interactions, since=earlier.since, progress=progress)
            return
        except FullTrainingNeeded:
            pass
    made.fit(earlier.interactions, progress=progress)


def _prefixed(number: int, made: Recommender) -> dict[str, NDArray[Any]]:
    """The arrays of a trained part by their names in the state of the blend."""
    return {f"{number}/{name}": array for name, array in made._fitted().arrays.items()}


def _loaded(number: int, made: Recommender, item_ids: Sequence[str], arrays: Arrays) -> Recommender:
    """The part with its arrays out of the state of the blend. Raises `DamagedModel`."""
    prefix = f"{number}/"
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    try:
        return type(made).from_state(State(made.name, made.config.model_dump(mode="json"), item_ids, own))
    except DamagedModel as error:
        raise DamagedModel(f"part {number}: {error}") from error
