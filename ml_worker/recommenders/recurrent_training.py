"""How the network behind `recurrent` is trained: from windows of histories, by batches, on two threads."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders import recurrent_network as network
from ml_worker.recommenders.base import Progress, Recommender, ignore
from ml_worker.recommenders.interactions import Histories
from ml_worker.recommenders.recurrent_network import Adam, Array, Weights

# A batch is so many windows; small ones take more steps, which it needs more than calm ones.
WINDOWS: Final = 16
_WARM_UP: Final = 100
# Of tiny data as many are taken all the same: nothing is learnt by ten.
_FEWEST_BATCHES: Final = 400
_THREADS: Final = 2
_SIXTEEN_BITS: Final = 1 << 16
# One takes a twentieth of a second, or less.
_PACED_BATCHES: Final = 30


class TrainingConfig(Recommender.Config):
    """What the network is like, and how it is trained."""

    size: int = Field(default=128, ge=2, le=1024, description="Numbers of an item's vector.")
    hidden: int = Field(default=256, ge=2, le=4096, description="Units of the hidden layer.")
    decays: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        default=(0.0, 0.6, 0.9, 0.98), min_length=1, max_length=16, description="What is left of a memory after a step."
    )
    window: int = Field(default=200, ge=2, le=1000, description="How many last likes are remembered, and learnt from at once.")
    lessons: int = Field(default=12_000_000, ge=1, le=10**10, description="How many steps are learnt from, repetitions included.")
    most_epochs: int = Field(default=20, ge=1, le=1000, description="How often any step is learnt from at most.")
    negatives: int = Field(default=512, ge=1, le=100_000, description="Drawn items that the next one is told from.")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="Share of the numbers left out of a training step.")
    rate: float = Field(default=0.0025, gt=0, le=1, description="How far a step goes at most.")
    dense_items: int = Field(default=50_000, ge=1, le=1_000_000, description="Most items that take part; memory and time grow with them.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Of everything that is drawn.")


class Latest(NamedTuple):
    """The last likes of some users, oldest first: the places of the items, and how many came after each."""

    items: NDArray[np.int64]  # [events]
    ages: NDArray[np.int64]  # [events]
    offsets: NDArray[np.int64]  # [users + 1]

    @classmethod
    def of(cls, histories: Histories, place: NDArray[np.int64], window: int) -> "Latest":
        """Those among items with a place."""
        rows = np.repeat(np.arange(len(histories)), np.diff(histories.offsets))
        is_told = (histories.weights > 0) & (place[histories.items] >= 0)
        rows, items = rows[is_told], place[histories.items[is_told]]
        ends = np.cumsum(np.bincount(rows, minlength=len(histories)))
        ages = ends[rows] - 1 - np.arange(len(rows))
        kept = ages < window
        return cls(items[kept], ages[kept], np.r_[0, np.cumsum(np.bincount(rows[kept], minlength=len(histories)))].astype(np.int64))


class Sequences(NamedTuple):
    """What users like one after the other, of those who like two things at least."""

    items: NDArray[np.int64]  # [events] places of items
    offsets: NDArray[np.int64]  # [users + 1]

    @classmethod
    def of(cls, histories: Histories, place: NDArray[np.int64], *, latest: int = np.iinfo(np.int64).max) -> "Sequences":
        """Of items with a place, at most so many latest ones of each user."""
        told = Latest.of(histories, place, latest)
        lengths = np.diff(told.offsets)
        is_some = lengths > 1
        return cls(told.items[np.repeat(is_some, lengths)], np.r_[0, np.cumsum(lengths[is_some])].astype(np.int64))

    def windows(self, window: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where windows begin in `items`, and how many steps they have, so that every step is in one; long sequences are cut anywhere."""
        steps = np.diff(self.offsets) - 1
        first = np.where(steps > window, random.integers(1, window + 1, len(steps)), window)
        counts = 1 + np.maximum(0, -(-(steps - first) // window))
        of_user = np.repeat(np.arange(len(steps)), counts)
        number = np.arange(len(of_user)) - np.repeat(np.cumsum(counts) - counts, counts)
        begins = np.where(number == 0, 0, first[of_user] + (number - 1) * window)
        ends = np.minimum(first[of_user] + number * window, steps[of_user])
        return self.offsets[of_user] + begins, ends - begins


class Windows(NamedTuple):
    """Some steps that follow each other in `items`, several times."""

    items: NDArray[np.int64]  # places of items
    starts: NDArray[np.int64]  # [windows] in `items`
    steps: NDArray[np.int64]  # [windows] how many

    def dealt(self, hands: int) -> list["Windows"]:
        """Dealt out in turn to at most so many; nobody gets none."""
        return [
            self._replace(starts=self.starts[first::hands], steps=self.steps[first::hands]) for first in range(min(hands, len(self.starts)))
        ]

    def steps_and_next(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The item of each step, one window after the other, and the item that comes after it."""
        begins = np.cumsum(self.steps) - self.steps
        places = np.arange(self.steps.sum()) + np.repeat(self.starts - begins, self.steps)
        return self.items.take(places), self.items.take(places + 1)


class Training:
    """Trains weights in place."""

    def __init__(self, config: TrainingConfig, weights: Weights, likes: NDArray[np.integer], random: np.random.Generator) -> None:
        self._config, self._weights, self._random = config, weights, random
        self._adam = Adam(weights)
        self._faded = network.fading(np.array(config.decays, dtype=np.float32), config.window)
        drawn = np.power(likes.astype(np.float64) + 1, 0.75)
        self._chances = drawn / drawn.sum()

    def run(self, sequences: Sequences, epochs: int, rate: float, progress: Progress) -> None:
        """So often through everything, by steps that grow to `rate` and fade like a cosine."""
        # BLAS has one thread in each of ours: its own wait for each other in loops, which busy cores make slow.
        with linear.one_thread(), ThreadPoolExecutor(_THREADS) as self._threads:
            for epoch in range(epochs):
                batches, loss = list(self._batches(sequences)), 0.0
                warm_up = min(_WARM_UP, 1 + epochs * len(batches) // 10)
                for number, windows in enumerate(batches):
                    done = (epoch + (number + 1) / len(batches)) / epochs
                    warmth = min(1.0, (epoch * len(batches) + number + 1) / warm_up)
                    loss += self._step(windows, rate * warmth * max(0.02, 0.5 * (1 + np.cos(np.pi * done))))
                    progress(done, f"epoch {epoch + 1} of {epochs}, loss {loss / (number + 1):.3f}")
        progress(1.0, f"{len(sequences.items)} likes learnt from")

    def _batches(self, sequences: Sequences) -> Iterator["Windows"]:
        """Windows in an order that is drawn."""
        starts, steps = sequences.windows(self._config.window, self._random)
        order = self._random.permutation(len(starts))
        for begin in range(0, len(order), WINDOWS):
            some = order[begin : begin + WINDOWS]
            some = some[np.argsort(steps[some], kind="stable")]  # so that every other one makes halves of like size
            yield Windows(sequences.items, starts[some], steps[some])

    def _step(self, windows: "Windows", rate: float) -> float:
        """One step by the gradients of a batch, half of it in each thread; the mean loss."""
        candidates = self._candidates()
        parts = windows.dealt(_THREADS)
        seeds = self._random.spawn(len(parts))
        found = list(self._threads.map(lambda part, random: self._gradients(part, candidates, random), parts, seeds))
        counts = np.array([part.steps.sum() for part in parts])
        gradients, shares = [of_part for _, of_part in found], (counts / counts.sum()).astype(np.float32)
        step = self._adam.begin(rate)

        def take(first: int) -> None:
            for stretch in self._adam.stretches[first::_THREADS]:
                self._adam.take(step, stretch, gradients, shares)

        list(self._threads.map(take, range(_THREADS)))
        return float(np.average([loss for loss, _ in found], weights=counts))

    def _gradients(self, windows: "Windows", candidates: "Candidates", random: np.random.Generator) -> tuple[float, Weights]:
        size, (given, right) = self._config.size, windows.steps_and_next()
        kept = [self._kept(random, len(given), width) for width in (size, self._config.hidden, size)]
        latest = self._weights["items"].take(given, axis=0) * kept[0]
        normal = network.normalized(latest)
        memories = network.remembered(self._faded, normal.rows, windows.steps)
        state = network.state_of(self._weights, latest, memories, (kept[1], kept[2]))
        loss = network.loss_of(self._weights, state.normal.rows, right, *candidates)
        by_latest, by_memory, gradients = network.through_state(self._weights, state, loss.by_state, (kept[1], kept[2]))
        by_told = network.through_memories(self._faded, by_memory, windows.steps)
        by_latest = (by_latest + network.through_normal(normal, by_told)) * kept[0]
        count = len(self._weights["bias"])
        gradients["items"] = _gathered(np.r_[given, right], np.concatenate([by_latest, loss.by_right]), count)
        gradients["items"][candidates.items] += loss.by_candidates
        gradients["bias"] = np.bincount(right, weights=loss.by_right_bias, minlength=count).astype(np.float32)
        gradients["bias"][candidates.items] += loss.by_candidate_bias
        return loss.value, gradients

    def _kept(self, random: np.random.Generator, rows: int, width: int) -> Array:
        """Factors of a dropout."""
        share = self._config.dropout
        drawn = np.frombuffer(random.bytes(2 * rows * width), dtype=np.uint16).reshape(rows, width)
        kept: Array = np.multiply(drawn >= round(share * _SIXTEEN_BITS), np.float32(1 / (1 - share)))
        return kept

    def _candidates(self) -> "Candidates":
        count = len(self._chances)
        if count <= 2 * self._config.negatives:
            return Candidates(np.arange(count), np.zeros(count, dtype=np.float32))
        # The first to come of waits that are the shorter the greater the chance: as if drawn one after the other without replacement
        # (Efraimidis, Spirakis, "Weighted random sampling with a reservoir", 2006), in a fraction of the time that takes.
        waits = self._random.standard_exponential(count) / self._chances
        drawn = np.sort(np.argpartition(waits, self._config.negatives)[: self._config.negatives])
        often = np.minimum(np.log(self._config.negatives * self._chances[drawn]), 0)
        return Candidates(drawn, often.astype(np.float32))


class Candidates(NamedTuple):
    """The items that the right ones are told from."""

    items: NDArray[np.int64]
    often: Array  # the logarithms of how often each is drawn on average


def epochs_for(config: TrainingConfig, sequences: Sequences, lessons: int) -> int:
    """How often these are to be gone through for so many lessons."""
    often = np.clip(round(lessons / max(1, len(sequences.items))), 1, config.most_epochs)
    windows = len(sequences.offsets) + len(sequences.items) // config.window
    return int(max(often, _FEWEST_BATCHES * WINDOWS // windows))


def pace(config: TrainingConfig, likes: NDArray[np.integer]) -> float:
    """How many lessons a second this machine gives now, by some batches of drawn windows of items liked so often [items]."""
    random = np.random.default_rng(config.seed)
    lengths = random.integers(2, config.window + 2, _PACED_BATCHES * WINDOWS)
    sequences = Sequences(random.choice(len(likes), lengths.sum(), p=likes / likes.sum()), np.r_[0, np.cumsum(lengths)])
    weights = network.made(random, len(likes), decays=len(config.decays), size=config.size, hidden=config.hidden)
    started = time.monotonic()
    Training(config, weights, likes, random).run(sequences, 1, config.rate, ignore)
    return float((lengths - 1).sum()) / (time.monotonic() - started)


def _gathered(places: NDArray[np.int64], rows: Array, count: int) -> Array:
    """The sums of the rows with each place [count × …]."""
    summing = csr_matrix((np.ones(len(places), dtype=np.float32), (places, np.arange(len(places)))), shape=(count, len(places)))
    gathered: Array = summing @ rows
    return gathered
