"""The network behind `recurrent`: what it says after a history, and the gradients of its loss, written out for plain arrays."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float32]
Weights = dict[str, Array]
"""`items` [items × size] and `bias`; `hidden` [decays·size × hidden] and `hidden_bias`; `output` [hidden × size] and `output_bias`."""

_EPSILON: Final = np.float32(1e-5)


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


def shares(decays: Array, ages: NDArray[np.integer]) -> Array:
    """How much events count in the memories that fade by these decays [decays × ages]: (1 − γ)·γ^age."""
    counted: Array = (1 - decays[:, None]) * np.power(decays[:, None], ages[None, :].astype(np.float32))
    return counted


def remembered(decays: Array, told: Array) -> Array:
    """The memories after each step [steps × windows × decays × size] of what is told [steps × windows × size]."""
    memories: Array = told[:, :, None, :] * (1 - decays)[:, None]
    _fade(decays, memories)
    return memories


def through_memories(decays: Array, gradient: Array) -> Array:
    """The gradient by what was told, from the one by the memories after each step, which is written into."""
    _fade(decays, gradient[::-1])
    by_told: Array = (1 - decays[0]) * gradient[:, :, 0]
    for number in range(1, len(decays)):  # one after the other: a product of tensors would copy them all
        by_told += (1 - decays[number]) * gradient[:, :, number]
    return by_told


def _fade(decays: Array, memories: Array) -> None:
    """To each step [steps × windows × decays × size] add what is left of the one before, which has that of its own before.

    Within blocks first, in all of them at once, then from block to block: few operations on large arrays, for with two threads each
    small one would wait for the interpreter's lock.
    """
    block = max(1, round(len(memories) ** 0.5))
    for step in range(1, block):
        later = memories[step::block]
        later += decays[:, None] * memories[step - 1 :: block][: len(later)]
    left = np.power(decays, np.arange(1, block + 1, dtype=np.float32)[:, None])[:, None, :, None]
    for begin in range(block, len(memories), block):
        of_block = memories[begin : begin + block]
        of_block += left[: len(of_block)] * memories[begin - 1]


def state_of(weights: Mapping[str, Array], latest: Array, memory: Array, kept: tuple[Array, Array] | None = None) -> State:
    """The state after moments with these latest items [moments × size] and memories [moments × decays·size].

    s = normal(latest + silu(memory·W₁ + b₁)·W₂ + b₂); `kept` are factors for the hidden layer and the output (dropout).
    """
    before = memory @ weights["hidden"]
    before += weights["hidden_bias"]
    gate = expit(before)
    hidden = before * gate
    slope = gate * (1 + before - hidden)
    if kept is not None:
        hidden *= kept[0]
    said = hidden @ weights["output"]
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
    memory: Array = (latest @ weights["output"].T * expit(state.before)) @ weights["hidden"].T
    return latest, memory


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


class Adam:
    """Steps by the mean and the variance of the gradients so far (Kingma, Ba, "Adam", 2015)."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._means = {name: np.zeros_like(array) for name, array in weights.items()}
        self._squares = {name: np.zeros_like(array) for name, array in weights.items()}
        self._steps = 0

    def step(self, gradients: Mapping[str, Array], rate: float, *, mean: float = 0.9, square: float = 0.98) -> None:
        """Change the weights in place."""
        self._steps += 1
        size = np.float32(rate * np.sqrt(1 - square**self._steps) / (1 - mean**self._steps))
        for name, gradient in gradients.items():
            means, squares = self._means[name], self._squares[name]
            means += np.float32(1 - mean) * (gradient - means)
            squares += np.float32(1 - square) * (np.square(gradient) - squares)
            self._weights[name] -= size * means / (np.sqrt(squares) + np.float32(1e-8))
