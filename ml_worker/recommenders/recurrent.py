"""A linear recurrent network: memories of a history that fade at different speeds, and what is met next after them."""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders import recurrent_network as network
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.recurrent_network import Array, Weights
from ml_worker.recommenders.recurrent_training import WINDOWS, Latest, Sequences, Training, TrainingConfig, epochs_for
from ml_worker.recommenders.state import DamagedModel
from ml_worker.recommenders.updating import Earlier

_LAYERS: Final = ("hidden", "hidden_bias", "output", "output_bias")


class Recurrent(Recommender):
    """Scores s·e_i + b_i, with a vector e_i of each item and the state s of the user, both of `size` numbers.

    For each decay γ the memory m_γ = (1 − γ)·Σ γ^k·normal(e of the liked item k steps ago) over the last `window`; all memories side by
    side are m. With the vector x of the latest item, s = normal(x + silu(m·W₁ + b₁)·W₂ + b₂). Trained by Adam so that after each
    step the next item is likely among it and `negatives` drawn ones (softmax; drawn by popularity^¾, their bias taken off), with dropout.

    A recurrence with nothing nonlinear in it, and all of that behind it (Orvieto et al., "Resurrecting Recurrent Neural Networks for Long
    Sequences", 2023; for recommendation Yue et al., "Linear Recurrent Units for Sequential Recommendation", 2024): the layers see all
    steps of all windows at once, and a user's state is a sum that needs no replay. The decays are fixed. Softmax as in Klenitskiy,
    Vasilev, "Turning Dross Into Gold Loss: is BERT4Rec really better than SASRec?", 2023. Only the `dense_items` most liked items take
    part, the others are ordered by popularity behind them.
    """

    name: ClassVar[str] = "recurrent"
    quality_floor: ClassVar[float] = 0.04  # measured: 0.048, with 64 numbers; what each user liked last is to be found, popular has 0.016
    can_update: ClassVar[bool] = True
    going_on: ClassVar[float] = 0.5

    class Config(TrainingConfig):
        """The preset."""

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        config, random = self.config, np.random.default_rng(self.config.seed)
        columns = self._taking_part(_likes(interactions))
        weights = network.made(random, len(columns), decays=len(config.decays), size=config.size, hidden=config.hidden)
        return self._trained(columns, weights, interactions, (random, config.lessons), progress)

    def _go_on(self, start: Recommender, interactions: Interactions, progress: Progress) -> Arrays:
        """Some of the lessons more, of all there is to learn from."""
        random, arrays = np.random.default_rng((self.config.seed, 1)), start._fitted().arrays
        columns = self._taking_part(_likes(interactions))
        weights = _taken_over(arrays, arrays["columns"], columns, random)
        return self._trained(columns, weights, interactions, (random, round(self.going_on * self.config.lessons)), progress)

    def _taking_part(self, likes: NDArray[np.int64]) -> NDArray[np.int32]:
        """The columns of the most liked items, ascending."""
        chosen = np.lexsort((np.arange(len(likes)), -likes))[: self.config.dense_items]
        return np.sort(chosen[likes[chosen] > 0]).astype(np.int32)

    def _trained(
        self,
        columns: NDArray[np.int32],
        weights: Weights,
        interactions: Interactions,
        how: tuple[np.random.Generator, int],
        progress: Progress,
    ) -> Arrays:
        """These weights after so many lessons more."""
        (random, lessons), likes = how, _likes(interactions)
        sequences = Sequences.of(interactions.histories(), _places(columns, len(likes)))
        epochs = epochs_for(self.config, sequences, lessons)
        Training(self.config, weights, likes[columns], random).run(sequences, epochs, self.config.rate, progress)
        return {"columns": columns, **weights}

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        """Once through the last windows of the users with new events, by smaller steps; items liked for the first time begin anew."""
        config, random = self.config, np.random.default_rng(self.config.seed)
        likes, known = _likes(earlier.interactions), earlier.columns[earlier.arrays["columns"]]
        new = np.setdiff1d(np.flatnonzero(likes), known)[: max(0, config.dense_items - len(known))]
        columns = np.r_[known, new].astype(np.int32)
        weights = _taken_over(earlier.arrays, known, columns, random)
        sequences = Sequences.of(earlier.histories()[0], _places(columns, len(likes)), latest=config.window + 1)
        Training(config, weights, likes[columns], random).run(sequences, 1, config.rate / 4, progress)
        return {"columns": columns, **weights}

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        kept: int = min(items, config.dense_items)
        moments: int = WINDOWS * config.window
        memories: int = len(config.decays) * config.size
        # Of a batch the memories and layers there and back, and the scores; weights, gradients, two moments and what they are made with.
        of_batch: int = moments * (4 * memories + 6 * config.hidden + 3 * config.negatives) + config.window**2 * len(config.decays)
        of_items: int = 6 * kept * config.size
        return 4 * (of_batch + of_items) + 16 * events

    def _layout(self, items: int) -> Layout:
        size, hidden, memories = self.config.size, self.config.hidden, len(self.config.decays) * self.config.size
        return {
            "columns": ((None,), np.int32),
            "items": ((None, size), np.float32),
            "bias": ((None,), np.float32),
            "hidden": ((memories, hidden), np.float32),
            "hidden_bias": ((hidden,), np.float32),
            "output": ((hidden, size), np.float32),
            "output_bias": ((size,), np.float32),
        }

    def _prepare(self, arrays: Arrays) -> None:
        columns, count = arrays["columns"], len(arrays["popularity"])
        if not len(columns) == len(arrays["items"]) == len(arrays["bias"]):
            raise DamagedModel(f"columns, items and bias are of {len(columns)}, {len(arrays['items'])} and {len(arrays['bias'])} items")
        if len(columns) and not 0 <= columns.min() <= columns.max() < count:
            raise DamagedModel(f"columns name items outside the model's {count}")
        self._columns, self._place = columns, _places(columns, count)
        self._weights: dict[str, Array] = {name: arrays[name] for name in ("items", "bias", *_LAYERS)}
        self._normal_items = network.normalized(arrays["items"]).rows
        self._decays = np.array(self.config.decays, dtype=np.float32)
        self._behind = linear.behind(arrays["popularity"])

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        state = self._state_after(Latest.of(histories, self._place, self.config.window))
        answers = state.normal.rows @ self._weights["items"].T
        answers += self._weights["bias"]
        scores = np.empty(histories.matrix.shape, dtype=np.float32)
        scores[:] = self._behind
        # Lifted above the others, not these pushed below: next to larger numbers float32 would not tell them apart.
        scores[:, self._columns] += answers - answers.min(axis=1, keepdims=True, initial=0)
        return scores

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        """What each event is of the memories, times what these count for; with the biases' part it adds up to the score."""
        latest, place = Latest.of(history, self._place, self.config.window), self._place[ranked]
        parts = np.zeros((len(ranked), len(history.matrix.indices)))
        if not len(latest.items):
            return parts
        state = self._state_after(latest)
        asked = self._weights["items"][np.maximum(place, 0)]
        by_latest, by_memory = network.shared_out(self._weights, state, asked)
        told = self._normal_items[latest.items]
        by_event = np.einsum(
            "rmd,ed,me->re",
            by_memory.reshape(len(ranked), len(self._decays), -1),
            told,
            network.shares(self._decays, latest.ages),
            optimize=True,
        )
        by_event[:, -1] += by_latest @ self._weights["items"][latest.items[-1]]
        np.add.at(parts.T, np.searchsorted(history.matrix.indices, self._columns[latest.items]), by_event.T)
        return np.where(place[:, None] >= 0, parts, 0)

    def _state_after(self, latest: "Latest") -> network.State:
        """The state of each user."""
        users, memories = len(latest.offsets) - 1, []
        for counted in network.shares(self._decays, latest.ages):
            history = csr_matrix((counted, latest.items, latest.offsets), shape=(users, len(self._columns)))
            memories.append(history @ self._normal_items)
        last = np.zeros((users, self.config.size), dtype=np.float32)
        has_any = np.diff(latest.offsets) > 0
        last[has_any] = self._weights["items"][latest.items[latest.offsets[1:][has_any] - 1]]
        return network.state_of(self._weights, last, np.concatenate(memories, axis=1))


def _likes(interactions: Interactions) -> NDArray[np.int64]:
    """How many events like each item [items]."""
    likes: NDArray[np.int64] = np.bincount(interactions.items[interactions.weights > 0], minlength=len(interactions.item_ids))
    return likes


def _taken_over(arrays: Arrays, known: NDArray[np.integer], columns: NDArray[np.int32], random: np.random.Generator) -> Weights:
    """The weights of an earlier model, whose items stand in the columns `known` now, for these columns; new items begin anew."""
    weights: Weights = {name: arrays[name].copy() for name in _LAYERS}
    weights["items"] = network.new_items(random, len(columns), arrays["items"].shape[1])
    weights["bias"] = np.zeros(len(columns), dtype=np.float32)
    place = _places(columns, 1 + max(int(columns.max(initial=0)), int(known.max(initial=0))))[known]
    for name in ("items", "bias"):
        weights[name][place[place >= 0]] = arrays[name][place >= 0]
    return weights


def _places(columns: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Where each of so many columns stands among those that take part; −1 where it does not."""
    place = np.full(count, -1, dtype=np.int64)
    place[columns] = np.arange(len(columns))
    return place
