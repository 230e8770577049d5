"""The network behind `recurrent`: what it says after a history, and the gradients of its loss, written out for plain arrays."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Weights = dict[str, Array]
"""`items` [items × size] and `bias`; `hidden` [decays·size × hidden] and `hidden_bias`; `output` [hidden × size] and `output_bias`."""

_EPSILON: Final = np.float32(1e-5)
_STRETCH: Final = 1 << 15
_BLOCK: Final = 64


class Normal(NamedTuple):
    """Rows with mean 0 and variance 1, and what they were divided by (Ba, Kiros, Hinton, "Layer Normalization", 2016)."""

    rows: Array
    spread: Array  # [rows × 1]


class State(NamedTuple):
    """What the network made of some moments [moments × …]; the last member is what items are compared with."""

    memory: Array  # [moments × decays·size]
    before: Array  # [moments × hidden] what the rectifier was given
    slope: Array  # [moments × hidden] of the rectifier
    hidden: Array  # [moments × hidden]
    normal: Normal


def made(random: np.random.Generator, items: int, *, decays: int, size: int, hidden: int) -> Weights:
    """Weights to begin with: drawn so that what a layer says varies as much as what it hears."""

    def drawn(rows: int, columns: int) -> Array:
        return random.standard_normal((rows, columns), dtype=np.float32) / np.float32(np.sqrt(rows))

    return {
        "items": new_items(random, items, size),
        "bias": np.zeros(items, dtype=np.float32),
        "hidden": drawn(decays * size, hidden),
        "hidden_bias": np.zeros(hidden, dtype=np.float32),
        "output": drawn(hidden, size),
        "output_bias": np.zeros(size, dtype=np.float32),
    }


def new_items(random: np.random.Generator, items: int, size: int) -> Array:
    """Vectors of items that nothing is known of, of about length 1."""
    return random.standard_normal((items, size), dtype=np.float32) / np.float32(np.sqrt(size))


def normalized(rows: Array) -> Normal:
    """Each row with mean 0 and variance 1; a row of zeros stays one."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + _EPSILON)
    return Normal(centred / spread, spread)


def through_normal(normal: Normal, gradient: Array) -> Array:
    """The gradient before `normalized` from the one behind it."""
    along = (gradient * normal.rows).mean(axis=1, keepdims=True)
    passed: Array = (gradient - gradient.mean(axis=1, keepdims=True) - normal.rows * along) / normal.spread
    return passed


def sigmoid(rows: Array) -> Array:
    """1 / (1 + e⁻ˣ): `expit` of scipy takes several times as long, a number at a time."""
    made = np.negative(rows)
    with np.errstate(over="ignore"):  # e¹⁰⁰ is infinite, and 1 / ∞ what is meant
        np.exp(made, out=made)
    made += 1
    return np.reciprocal(made, out=made)


def shares(decays: Array, ages: NDArray[np.integer]) -> Array:
    """How much events count in the memories that fade by these decays [decays × ages]: (1 − γ)·γ^age."""
    counted: Array = (1 - decays[:, None]) * np.power(decays[:, None], ages[None, :].astype(np.float32))
    return counted


def fading(decays: Array, steps: int) -> Array:
    """What is told in a step counts so much in each memory after each step [steps × steps·decays]; 0 in those before it.

    The recurrence m ← γ·m + (1 − γ)·told as one matrix F: memories are Fᵀ·told, and the gradient by told is F·(that by the memories).
    That is more arithmetic than going from step to step, and none of it small or waiting for memory.
    """
    ages = np.arange(steps)[None, :] - np.arange(steps)[:, None]
    counted = np.where(ages[:, :, None] >= 0, (1 - decays) * np.power(decays, np.maximum(ages, 0)[:, :, None].astype(np.float32)), 0)
    return counted.astype(np.float32).reshape(steps, steps * len(decays))


def remembered(faded: Array, told: Array, lengths: NDArray[np.integer]) -> Array:
    """The memories after each step [steps × decays·size] of what is told [steps × size] in windows of so many steps, one after the other.

    `faded` is the `fading` of the longest of them, or of more steps.
    """
    decays = faded.shape[1] // faded.shape[0]
    memories = np.empty((len(told) * decays, told.shape[1]), dtype=np.float32)
    for of_block, met, after in _blocks(faded, lengths):
        np.matmul(of_block.T, told[met], out=memories[after])
    return memories.reshape(len(told), -1)


def through_memories(faded: Array, gradient: Array, lengths: NDArray[np.integer]) -> Array:
    """The gradient by what was told [steps × size] from the one by the memories after each step [steps × decays·size]."""
    size = gradient.shape[1] * faded.shape[0] // faded.shape[1]
    by_told = np.zeros((len(gradient), size), dtype=np.float32)
    by_memories = gradient.reshape(-1, size)
    for of_block, met, after in _blocks(faded, lengths):
        by_told[met] += of_block @ by_memories[after]
    return by_told


def _blocks(faded: Array, lengths: NDArray[np.integer]) -> Iterator[tuple[Array, slice, slice]]:
    """Of the steps of windows, one after the other, a block at a time: its part of the matrix, the steps that count in it, which are those
    from the beginning of the window, and the memories after its own [steps·decays].

    What is told after a block counts nothing in it: without blocks, half of the arithmetic would be with zeros.
    """
    decays, begin = faded.shape[1] // faded.shape[0], 0
    for length in lengths.tolist():
        for first in range(0, length, _BLOCK):
            end = min(first + _BLOCK, length)
            of_block = faded[:end, first * decays : end * decays]
            yield of_block, slice(begin, begin + end), slice((begin + first) * decays, (begin + end) * decays)
        begin += length


def state_of(weights: Mapping[str, Array], latest: Array, memory: Array, kept: tuple[Array, Array] | None = None) -> State:
    """The state after moments with these latest items [moments × size] and memories [moments × decays·size].

    s = normal(latest + silu(memory·W₁ + b₁)·W₂ + b₂); `kept` are factors for the hidden layer and the output (dropout).
    """
    before = memory @ weights["hidden"]
    before += weights["hidden_bias"]
    gate = sigmoid(before)
    hidden: Array = before * gate
    slope = gate * (1 + before - hidden)
    if kept is not None:
        hidden *= kept[0]
    said: Array = hidden @ weights["output"]
    said += weights["output_bias"]
    if kept is not None:
        said *= kept[1]
    said += latest
    return State(memory, before, slope, hidden, normalized(said))


def through_state(
    weights: Mapping[str, Array], state: State, gradient: Array, kept: tuple[Array, Array] | None = None
) -> tuple[Array, Array, Weights]:
    """The gradients by latest item and memory, and those of the layers' weights, from the one by the state [moments × size]."""
    latest = through_normal(state.normal, gradient)
    said: Array = latest if kept is None else latest * kept[1]
    before: Array = said @ weights["output"].T
    before *= state.slope
    if kept is not None:
        before *= kept[0]
    memory: Array = before @ weights["hidden"].T
    layers = {
        "hidden": state.memory.T @ before,
        "hidden_bias": before.sum(axis=0),
        "output": state.hidden.T @ said,
        "output_bias": said.sum(axis=0),
    }
    return latest, memory, layers


def shared_out(weights: Mapping[str, Array], state: State, asked: Array) -> tuple[Array, Array]:
    """What the latest item and the memory of one state count for in its product with each of these vectors [asked × size].

    The gate of the rectifier and the spread of the norm are taken as they are, so that what they count for adds up to the product,
    but for the biases' part (Ali et al., "XAI for Transformers: Better Explanations through Conservative Propagation", 2022).
    Both are to be multiplied with what they are of: [asked × size] and [asked × decays·size].
    """
    latest: Array = (asked - asked.mean(axis=1, keepdims=True)) / state.normal.spread
    before: Array = latest @ weights["output"].T
    before *= sigmoid(state.before)
    return latest, before @ weights["hidden"].T


class Loss(NamedTuple):
    """The mean over moments of −log softmax of the right item among itself and the candidates, and its gradients."""

    value: float
    by_state: Array  # [moments × size]
    by_right: Array  # [moments × size] by the vectors of the right items
    by_right_bias: Array  # [moments]
    by_candidates: Array  # [candidates × size]
    by_candidate_bias: Array  # [candidates]


def loss_of(weights: Mapping[str, Array], states: Array, right: NDArray[np.integer], candidates: NDArray[np.integer], drawn: Array) -> Loss:
    """`drawn` [candidates] are the logarithms of how often each is drawn on average, 0 where all items are candidates.

    They are taken off, so that the sum over those drawn stands for the sum over all (Bengio, Senécal, "Adaptive Importance Sampling to
    Accelerate Training of a Neural Probabilistic Language Model", 2008).
    """
    vectors, answers = weights["items"][candidates], weights["items"][right]
    scores = states @ vectors.T
    scores += weights["bias"][candidates] - drawn
    place = np.full(len(weights["bias"]), -1, dtype=np.int64)
    place[candidates] = np.arange(len(candidates))
    hit = np.flatnonzero(place[right] >= 0)
    scores[hit, place[right[hit]]] = -np.inf  # it stands beside them
    of_right = np.einsum("ij,ij->i", states, answers) + weights["bias"][right]
    highest = np.maximum(scores.max(axis=1), of_right)
    scores -= highest[:, None]
    np.exp(scores, out=scores)
    right_share = np.exp(of_right - highest)
    total = scores.sum(axis=1) + right_share
    value = float(np.mean(np.log(total) + highest - of_right))
    scale = np.float32(1 / len(right))
    scores *= (scale / total)[:, None]
    pulled = (right_share / total - 1) * scale
    by_state = scores @ vectors
    by_state += pulled[:, None] * answers
    return Loss(value, by_state, pulled[:, None] * states, pulled, scores.T @ states, scores.sum(axis=0))


Stretch = tuple[str, slice]
"""Some numbers of one array."""


class Step(NamedTuple):
    """How far a step of Adam goes, and what is left of the mean and of the squares."""

    size: np.float32
    mean: np.float32
    square: np.float32


class Adam:
    """Steps by the mean and the variance of the gradients so far (Kingma, Ba, "Adam", 2015).

    Stretch by stretch of the arrays, so that each stays in the cache from the gradient to the weights.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = {name: array.reshape(-1) for name, array in weights.items()}
        self._means = {name: np.zeros_like(array) for name, array in self._weights.items()}
        self._squares = {name: np.zeros_like(array) for name, array in self._weights.items()}
        self._steps = 0
        self.stretches: tuple[Stretch, ...] = tuple(
            (name, slice(start, start + _STRETCH)) for name, array in self._weights.items() for start in range(0, len(array), _STRETCH)
        )

    def begin(self, rate: float, *, mean: float = 0.9, square: float = 0.98) -> Step:
        """The next step: to be taken for each stretch once, by any thread."""
        self._steps += 1
        size = rate * np.sqrt(1 - square**self._steps) / (1 - mean**self._steps)
        return Step(*(np.float32(factor) for factor in (size, mean, square)))

    def take(self, step: Step, stretch: Stretch, gradients: Sequence[Weights], shares: Array) -> None:
        """Change the weights of a stretch in place by the sum of these gradients, each times its share."""
        name, here = stretch
        weights, means, squares = (arrays[name][here] for arrays in (self._weights, self._means, self._squares))
        gradient, scratch = shares[0] * gradients[0][name].reshape(-1)[here], np.empty_like(weights)
        for of_part, share in zip(gradients[1:], shares[1:], strict=True):
            gradient += np.multiply(of_part[name].reshape(-1)[here], share, out=scratch)
        means *= step.mean
        means += np.multiply(gradient, 1 - step.mean, out=scratch)
        squares *= step.square
        squares += np.multiply(np.square(gradient, out=gradient), 1 - step.square, out=scratch)
        np.sqrt(squares, out=scratch)
        scratch += np.float32(1e-8)
        np.divide(means, scratch, out=scratch)
        weights -= np.multiply(scratch, step.size, out=scratch)
