"""The second stage: the candidates of a blend put in order by boosted trees that look at all its parts at once (LambdaMART)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ml_worker.recommenders.answers import Answer
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender, ignore
from ml_worker.recommenders.blend import Blend, Part, standardized
from ml_worker.recommenders.blend_answers import Asked, BlendAnswer, Keeping
from ml_worker.recommenders.features import STATISTICS, feature_count, features, item_statistics
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.lessons import Lesson, NoLesson, Task, make_lesson
from ml_worker.recommenders.selection import NOT_OFFERED
from ml_worker.recommenders.state import DamagedModel, State
from ml_worker.recommenders.threads import both
from ml_worker.recommenders.updating import Earlier

if TYPE_CHECKING:
    import lightgbm

# LightGBM is imported where trees are grown or asked: with what it brings along it takes longer than all else a worker imports.

_TILE_QUESTIONS: Final = 256
# Fewer questions whose answer is among the candidates teach trees nothing.
_FEWEST_QUESTIONS: Final = 50


class Rerank(Recommender):
    """A blend proposes `candidates` unseen items for each user; trees trained for NDCG (LambdaRank) order them.

    The trees are trained on events held out from the training data, which the blend that proposes for them has not seen; then the blend
    is trained again on everything, and goes on from the one before where its parts can. What they look at is in `features`. An item's
    score is (1 − `mix`) times the standard score of the blend plus `mix` times that of the trees, both among the candidates; all other
    items follow in the order of the blend. Where too little can be held out there are no trees, and the blend answers alone.
    (Burges, "From RankNet to LambdaRank to LambdaMART", 2010; Ke et al., "LightGBM", 2017.)
    """

    name: ClassVar[str] = "rerank"
    quality_floor: ClassVar[float] = 0.37  # measured: 0.381, with 2,000 items in the linear parts
    libraries: ClassVar[tuple[str, ...]] = tuple(sorted({*Blend.libraries, "lightgbm"}))
    can_update: ClassVar[bool] = True

    class Config(Recommender.Config):
        """The preset."""

        parts: tuple[Part, ...] = Field(default=Blend.Config().parts, min_length=1, max_length=32, description="The blend.")
        task: Task = Field(default="random", description="Which events are held out: the next, later ones, or random ones.")
        share: float = Field(default=0.1, gt=0, lt=1, description="The share held out, for later and random ones.")
        depth: int = Field(default=4, ge=1, le=100, description="How many last events of each user are held out as next ones.")
        questions: int = Field(default=30_000, ge=1, le=10_000_000, description="Most questions learnt from.")
        candidates: int = Field(default=120, ge=2, le=10_000, description="How many items of the blend are put in order.")
        rounds: int = Field(default=120, ge=1, le=10_000, description="Trees.")
        leaves: int = Field(default=15, ge=2, le=1024, description="Leaves of a tree.")
        rate: float = Field(default=0.05, gt=0, le=1, description="How much of each tree is believed.")
        mix: float = Field(default=0.5, ge=0, le=1, description="The share of the trees in the score, the rest is the blend's.")
        seed: int = Field(default=0, ge=0, lt=2**31, description="Of what is drawn; same data and seed, same model.")

        def first(self) -> Blend.Config:
            """The configuration of the first stage."""
            return Blend.Config(parts=self.parts)

    config: Config

    def __init__(self, config: Config | None = None, *, early: "Early | None" = None) -> None:
        super().__init__(config)
        self._early = early

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        config, first = self.config, Blend(self.config.first())
        try:
            lesson = make_lesson(interactions, config.task, share=config.share, depth=config.depth, seed=config.seed)
        except NoLesson as reason:
            progress(0.0, f"no second stage: {reason}")
            first.fit(interactions, progress=progress)
            return _arrays(first, np.empty(0, dtype=np.uint8), interactions)
        early = self._without(lesson, interactions, progress)
        examples = make_examples(early, lesson.sample(config.questions, config.seed), config)
        progress(0.5, f"{len(examples.lengths)} questions asked")
        # At the same time: trees, and most parts, are arithmetic in one thread.
        _, trees = both(
            lambda: first.fit(interactions, progress=lambda done, note: progress(0.5 + 0.5 * done, note), start=early),
            lambda: train_trees(examples, config, ignore),
        )
        return _arrays(first, trees, interactions)

    def _without(self, lesson: Lesson, interactions: Interactions, progress: Progress) -> Blend:
        """The first stage that has not seen what is held out."""
        if self._early is not None and self._early.interactions is interactions:
            first, self._early = self._early.first, None  # it serves one training, and may be large
            return first
        first = Blend(self.config.first())
        first.fit(lesson.train, progress=lambda done, note: progress(0.35 * done, f"without what is held out: {note}"))
        return first

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        # The trees stay: what makes an item right for a user changes much slower than what is met.
        known = tuple(earlier.interactions.item_ids[column] for column in earlier.columns)
        first = Blend.from_state(State(Blend.name, self.config.first().model_dump(mode="json"), known, _of_first(earlier.arrays)))
        first.update(earlier.interactions, since=earlier.since, progress=progress)
        return _arrays(first, earlier.arrays["trees"], earlier.interactions)

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        blend: int = Blend.predicted_bytes(config.first(), users=users, items=items, events=events)
        asked: int = min(config.questions, users * config.depth if config.task == "next" else users)
        table: int = 5 * asked * config.candidates * feature_count(len(config.parts))
        return blend + table + 8 * _TILE_QUESTIONS * items * (len(config.parts) + 2)

    def _layout(self, items: int) -> Layout:
        blend = {"popularity": ((items,), np.float32), **Blend(self.config.first())._layout(items)}
        layout: dict[str, Any] = {f"first/{name}": shape for name, shape in blend.items()}
        return layout | {"trees": ((None,), np.uint8), "statistics": ((items, STATISTICS), np.float32), "end": ((), np.int64)}

    def _prepare(self, arrays: Arrays) -> None:
        self._first = Blend.of_arrays(self.config.first(), _of_first(arrays))
        self._trees = _read_trees(arrays["trees"], feature_count(len(self.config.parts)))
        self._statistics, self._end = arrays["statistics"], int(arrays["end"])

    @property
    def _cold(self) -> NDArray[np.float32]:
        return self._first._cold

    def _answer(self, histories: Histories) -> Answer:
        return BlendAnswer(super()._answer(histories), self._reordered, score_all=self._score_all)

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        return self._reordered(histories, lambda asked: None)

    def _reordered(self, histories: Histories, keep: Keeping) -> NDArray[np.float32]:
        if self._trees is None:
            return self._first._blended(histories, keep)
        scores = np.empty(histories.matrix.shape, dtype=np.float32)
        for start in range(0, len(histories), _TILE_QUESTIONS):
            tile = histories.take(np.arange(start, min(start + _TILE_QUESTIONS, len(histories))))
            proposed = propose(self._first, tile, self.config.candidates)
            said = predict(self._trees, proposed, tile, (self._statistics, self._end))
            scores[start : start + len(tile)] = reorder(proposed, said, self.config.mix)
            if len(tile) == len(histories):
                for asked in proposed.asked:
                    keep(asked)
        return scores

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return self._first._contributions(history, ranked)

    def _parts(self, histories: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return self._first._parts(histories, ranked)


@dataclass(frozen=True, slots=True, eq=False)
class Early:
    """A first stage that was trained already on what the lesson of these very interactions leaves: with it a training is half as long."""

    interactions: Interactions
    first: Blend


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """What the first stage says of some users: the standard scores of the blend and of each part, and the best unseen items."""

    scores: list[NDArray[np.float32]]  # of the blend, then of each part: [users × items]
    asked: list[Asked]  # the parts that count
    candidates: NDArray[np.int64]  # [users × candidates], best first; where fewer are unseen, seen ones stand at the end


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What trees learn from; the candidates of a question stand together."""

    table: NDArray[np.float32]  # [questions · candidates × features]
    is_right: NDArray[np.bool_]  # [questions × candidates]
    lengths: NDArray[np.int64]  # [questions] how many items there were to find, candidates or not
    base: NDArray[np.float32]  # [questions × candidates] the score of the blend

    def take(self, questions: NDArray[np.integer]) -> "Examples":
        """Only these questions."""
        width = self.is_right.shape[1]
        rows = (questions[:, None] * width + np.arange(width)[None, :]).ravel()
        return Examples(self.table[rows], self.is_right[questions], self.lengths[questions], self.base[questions])


def propose(first: Blend, histories: Histories, count: int) -> Proposed:
    """Ask the first stage."""
    asked = list(first.ask(histories, weightless=True))
    parts = [standard for _, standard in asked]
    total = standardized(first.combined(parts))
    offered, seen = total.copy(), histories.matrix
    offered[np.repeat(np.arange(len(histories)), np.diff(seen.indptr)), seen.indices] = NOT_OFFERED
    count = min(count, total.shape[1])
    chosen = np.sort(np.argpartition(-offered, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(offered, chosen, axis=1), axis=1, kind="stable")
    counting = [part for part, _ in asked if part.weight > 0]
    return Proposed([total, *parts], counting, np.take_along_axis(chosen, order, axis=1))


def make_examples(first: Blend, lesson: Lesson, config: Rerank.Config) -> Examples:
    """The candidates of every question of the lesson, with features from its training data alone."""
    statistics, end = item_statistics(lesson.train), int(lesson.train.times.max(initial=0))
    width = min(config.candidates, len(lesson.train.item_ids))
    table = np.empty((len(lesson) * width, feature_count(len(config.parts))), dtype=np.float32)
    is_right, base = np.empty((len(lesson), width), dtype=np.bool_), np.empty((len(lesson), width), dtype=np.float32)
    for start in range(0, len(lesson), _TILE_QUESTIONS):
        questions = np.arange(start, min(start + _TILE_QUESTIONS, len(lesson)))
        tile = slice(start, start + len(questions))
        histories = lesson.histories(questions)
        proposed = propose(first, histories, width)
        rows = features(histories, proposed.candidates, proposed.scores, statistics, end=end)
        table[start * width : (start + len(questions)) * width] = rows
        is_right[tile] = np.take_along_axis(lesson.answers[questions].toarray(), proposed.candidates, axis=1)
        base[tile] = np.take_along_axis(proposed.scores[0], proposed.candidates, axis=1)
    return Examples(table, is_right, np.diff(lesson.answers.indptr).astype(np.int64), base)


def train_trees(examples: Examples, config: Rerank.Config, progress: Progress) -> NDArray[np.uint8]:
    """The trees as text: uint8 [bytes]; nothing where too few answers are among the candidates."""
    useful = np.flatnonzero(examples.is_right.any(axis=1) & ~examples.is_right.all(axis=1))
    if len(useful) < _FEWEST_QUESTIONS:
        return np.empty(0, dtype=np.uint8)
    import lightgbm

    chosen = examples if len(useful) == len(examples.is_right) else examples.take(useful)
    data = lightgbm.Dataset(
        chosen.table,
        label=chosen.is_right.ravel().astype(np.float32),
        group=np.full(len(useful), chosen.is_right.shape[1]),
        params={"verbose": -1},
    )

    def report(state: lightgbm.callback.CallbackEnv) -> None:
        progress((state.iteration + 1) / config.rounds, f"tree {state.iteration + 1} of {config.rounds}")

    made = lightgbm.train(parameters(config), data, config.rounds, callbacks=[report])
    return np.frombuffer(made.model_to_string().encode(), dtype=np.uint8).copy()


def parameters(config: Rerank.Config) -> dict[str, Any]:
    """What LightGBM is told."""
    return {
        "objective": "lambdarank",
        # Pairs with one of so many best are learnt from: somewhat more than the places that a list has.
        "lambdarank_truncation_level": 30,
        "num_leaves": config.leaves,
        "learning_rate": config.rate,
        "min_data_in_leaf": 100,
        "lambda_l2": 10.0,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 127,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        # More threads wait for each other in loops: on busy cores that makes it many times slower, on idle ones hardly quicker.
        "num_threads": 1,
        "verbose": -1,
    }


def predict(
    trees: "lightgbm.Booster", proposed: Proposed, histories: Histories, known: tuple[NDArray[np.float32], int]
) -> NDArray[np.float32]:
    """What the trees say of each candidate [users × candidates]; `known` are the item statistics and the second they count from."""
    statistics, end = known
    table = features(histories, proposed.candidates, proposed.scores, statistics, end=end)
    said = np.asarray(trees.predict(table, num_threads=1))
    return said.reshape(proposed.candidates.shape).astype(np.float32)


def said_of(text: NDArray[np.uint8], examples: Examples) -> NDArray[np.float32]:
    """What trees of `train_trees` say of examples [questions × candidates]."""
    import lightgbm

    said = np.asarray(lightgbm.Booster(model_str=text.tobytes().decode()).predict(examples.table, num_threads=1))
    return said.reshape(examples.base.shape).astype(np.float32)


def mixed(base: NDArray[np.float32], said: NDArray[np.float32], mix: float) -> NDArray[np.float32]:
    """The scores of the candidates from those of both stages [users × candidates]."""
    mixture: NDArray[np.float32] = np.float32(1 - mix) * standardized(base) + np.float32(mix) * standardized(said)
    return mixture


def reorder(proposed: Proposed, said: NDArray[np.float32], mix: float) -> NDArray[np.float32]:
    """The scores of all items [users × items]: those of the blend, the candidates lifted above all others and put in order."""
    scores = proposed.scores[0].copy()
    of_candidates = mixed(np.take_along_axis(scores, proposed.candidates, axis=1), said, mix)
    lifted = of_candidates - of_candidates.min(axis=1, keepdims=True) + scores.max(axis=1, keepdims=True) + 1
    np.put_along_axis(scores, proposed.candidates, lifted, axis=1)
    return scores


def _arrays(first: Blend, trees: NDArray[np.uint8], interactions: Interactions) -> dict[str, NDArray[Any]]:
    arrays = {f"first/{name}": array for name, array in first._fitted().arrays.items()}
    end = np.array(interactions.times.max(initial=0), dtype=np.int64)
    return arrays | {"trees": trees, "statistics": item_statistics(interactions), "end": end}


def _of_first(arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {name.removeprefix("first/"): array for name, array in arrays.items() if name.startswith("first/")}


def _read_trees(text: NDArray[np.uint8], width: int) -> "lightgbm.Booster | None":
    if not len(text):
        return None
    import lightgbm

    try:
        trees = lightgbm.Booster(model_str=text.tobytes().decode())
    except (UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
        raise DamagedModel(f"trees cannot be read: {error}") from error
    if trees.num_feature() != width:
        raise DamagedModel(f"trees look at {trees.num_feature()} features, this model has {width}")
    return trees
