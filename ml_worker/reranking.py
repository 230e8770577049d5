"""From scores to the order shown: diversity, shares of new releases, caps. Pure: arrays in, arrays out."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress, islice, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from ml_worker.recommenders.base import Ranking

DIVERSE: Final = 400
"""Among so many a diverse list chooses, the next places among the next so many. Of 80 as unlike lists of 20 would be less relevant."""
_STRETCH: Final = 1024


def diverse(items: NDArray[np.int32], scores: NDArray[np.float32], features: csr_matrix, *, diversity: float, count: int) -> list[int]:
    """The positions of `count` of the items, chosen by maximal marginal relevance (Carbonell and Goldstein 1998), best first.

    Each is the one of greatest (1 − diversity)·relevance − diversity·(greatest likeness to one chosen before). Relevance is the score
    scaled to 0…1 among the items, likeness the cosine of the rows of `features` [all items × features] weighed by rarity.
    """
    if not len(items):
        return []
    spread = float(scores[0] - scores[-1]) if len(scores) else 0.0
    relevance = (scores - scores.min()) / spread if spread > 0 else np.ones(len(items), dtype=np.float32)
    rows = rare(features[items])
    alike = (rows @ rows.T).toarray()  # all pairs at once: a sparse product for each place takes ten times as long
    likeness = np.zeros(len(items), dtype=np.float32)
    left = np.ones(len(items), dtype=np.bool_)
    chosen: list[int] = []
    for _ in range(min(count, len(items))):
        gain = np.where(left, (1 - diversity) * relevance - diversity * likeness, -np.inf)
        best = int(np.argmax(gain))
        chosen.append(best)
        left[best] = False
        np.maximum(likeness, alike[best], out=likeness)
    return chosen


def rare(features: csr_matrix) -> csr_matrix:
    """Features weighed by log(rows / rows with it), in rows of length 1; empty rows stay empty."""
    frequency = np.bincount(features.indices, minlength=features.shape[1])
    weighed = features @ diags(np.log((features.shape[0] + 1) / np.maximum(frequency, 1)).astype(np.float32))
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return (diags(1 / np.maximum(lengths, 1e-12)) @ weighed).tocsr()


def with_share(order: Sequence[int], new: Sequence[int], *, share: float, count: int) -> list[int]:
    """The first `count` of `order`, where after every place p at least ⌊share·p⌋ are out of `new`, as long as there are any.

    Both are in order of preference; `order` may have new ones already, which count.
    """
    is_new, taken = set(new), dict[int, None]()
    queue = (item for item in (new if share > 0 else ()) if item not in taken)
    rest = (item for item in order if item not in taken)
    new_count = 0
    # Only where one more is needed than at the place before can there be too few.
    for wanted, place in enumerate(_rises(share, count), start=1):
        filling = list(islice(rest, place - len(taken)))
        taken |= dict.fromkeys(filling)
        new_count += len(is_new.intersection(filling))
        if new_count < wanted:
            lifted = list(islice(queue, 1))
            taken |= dict.fromkeys(lifted)
            new_count += len(lifted)
    for others in (rest, queue):
        taken |= dict.fromkeys(islice(others, count - len(taken)))
    return list(taken)


@lru_cache(maxsize=64)
def _rises(share: float, count: int) -> tuple[int, ...]:
    """The lengths below `count` after which one more new item is needed."""
    needed = [int(share * length + 1e-9) for length in range(count + 1)]
    return tuple(length for length, (now, then) in enumerate(pairwise(needed)) if then > now)


def keeps_share(is_new: NDArray[np.bool_], *, share: float, count: int) -> NDArray[np.bool_]:
    """Whether lists of `count` have their share at every place anyhow: `is_new` [places] or [users × places] says it of their items."""
    if is_new.shape[-1] < count:
        return np.zeros(is_new.shape[:-1], dtype=np.bool_)
    places = np.arange(1, is_new.shape[-1] + 1)
    return np.asarray((np.cumsum(is_new, axis=-1) >= np.floor(share * places + 1e-9)).all(axis=-1))


def capped(order: Sequence[int], categories: csr_matrix, *, cap: int, count: int, new: Sequence[int] = (), share: float = 0.0) -> list[int]:
    """The first `count` of `order` of which no category [items × categories] has more than `cap`, with new ones as in `with_share`.

    The cap is kept in any case: where it leaves no room for one of `new`, the place goes to the next of `order`.
    """
    used = np.zeros(categories.shape[1], dtype=np.intp)
    is_new, placed, new_count = set(new), dict[int, None](), 0
    rest, queue = (_open(items, categories, used, cap) for items in (order, new))
    while len(placed) < count:
        is_owed = new_count < int(share * (len(placed) + 1) + 1e-9)
        found = (item for items in ((queue, rest) if is_owed else (rest,)) for item in items if item not in placed)
        item = next(found, None)
        if item is None:
            break
        placed[item] = None
        new_count += item in is_new
        used[_row(categories, item)] += 1
    return list(placed)


def _open(items: Sequence[int], categories: csr_matrix, used: NDArray[np.intp], cap: int) -> Iterator[int]:
    """The items one after the other of which no category is full by then; what is full stays so."""
    for start in range(0, len(items), _STRETCH):
        some = items[start : start + _STRETCH]
        # At once for many: behind the first hundreds nearly all of a large catalogue is of a full category.
        is_open = np.asarray(categories[some] @ (used >= cap).astype(np.float32)).ravel() == 0
        yield from (item for item in compress(some, is_open) if (used[_row(categories, item)] < cap).all())


def _row(matrix: csr_matrix, row: int) -> NDArray[np.int32]:
    columns: NDArray[np.int32] = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
    return columns


def led_by(scores: NDArray[np.float32], matches: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scores with the same order, but every match before every other item [items]."""
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return scores
    lift = float(finite.max() - finite.min()) + 1.0
    return np.where(matches, scores + np.float32(lift), scores).astype(np.float32)


def mixed(ranking: Ranking, categories: csr_matrix, diversity: float, *, count: int) -> Ranking:
    """The first `count` of a ranking in the order of `diverse`, each out of the `DIVERSE` it stands among.

    So a place has the same item however many are asked for, as pages of one list must.
    """
    order: list[int] = []
    for start in range(0, min(count, len(ranking.items)), DIVERSE):
        some = slice(start, start + DIVERSE)
        wanted = min(DIVERSE, count - start)
        places = diverse(ranking.items[some], ranking.scores[some], categories, diversity=diversity, count=wanted)
        order += [start + place for place in places]
    return Ranking(ranking.items[order], ranking.scores[order])


def reordered(scores: NDArray[np.float32], order: Sequence[int]) -> Ranking:
    """Items in an order of their own with their scores [all items]; those without one get the least of the others, or 0."""
    items = np.array(order, dtype=np.int32)
    shown = scores[items]
    is_scored = np.isfinite(shown)
    least = shown[is_scored].min() if is_scored.any() else np.float32(0)
    return Ranking(items, np.where(is_scored, shown, least).astype(np.float32))
