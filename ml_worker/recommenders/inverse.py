"""The inverse of a Gram matrix between two trainings: how it is kept, and what changed rows of the data do to it.

P = A⁻¹ [n × n] is symmetric positive definite, with n of thousands. Kept are the half of it on and above the diagonal and an *outline*,
by which products with P take a fraction of the time. `corrected` finds the rows and columns of P' = (A + Δ)⁻¹ that have changed most, and
`residual` says by the half, which is exact, how much of the change that missed.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas
from scipy.sparse import csr_matrix, diags_array

from ml_worker.recommenders import linear, threads

LOCAL: Final = 3
"""How many entries an item an outline keeps as they are: the strongest."""
RANK: Final = 64
"""Of the matrix that stands in an outline for all the others."""
FEW: Final = 32
"""Of so many rows the change is found exactly; an outline that is wrong about one of a few is wrong about much of the change."""
PROBES: Final = 2
"""How many random vectors the residual is measured with."""
_ROWS: Final = 2048
"""So many rows are multiplied at once: the products are dense."""
_BLOCK: Final = 64
"""So many rows are gone over at once: they stay in the cache."""


class Change(NamedTuple):
    """Δ = Σ w·(dᵀx̄ + x̄ᵀd) + 2·diag(`extra`): each row x of the data became x + d, x̄ is the mean of both, and w its weight."""

    items: NDArray[np.intp]  # [items] the columns in which any d is not 0, ascending; the extra diagonal is theirs too
    moved: csr_matrix  # d [rows × n]
    middle: csr_matrix  # x̄ [rows × n]
    weights: NDArray[np.float32]  # w [rows]
    extra: NDArray[np.float32]  # [items]

    def scatter(self) -> csr_matrix:
        """w·d as [items × rows]."""
        columns = np.searchsorted(self.items, self.moved.indices)
        rows = np.repeat(np.arange(len(self.weights)), np.diff(self.moved.indptr))
        return csr_matrix((self.moved.data * self.weights[rows], (columns, rows)), shape=(len(self.items), len(self.weights)))

    def half(self, scatter: csr_matrix) -> csr_matrix:
        """M [items × n] of Δ = E·M + (E·M)ᵀ, where E spreads its rows to the items; several entries may stand in one place."""
        rows = self.middle[scatter.indices]
        ends = rows.indptr[scatter.indptr]
        data = np.insert(rows.data * np.repeat(scatter.data, np.diff(rows.indptr)), ends[1:], self.extra)
        columns = np.insert(rows.indices, ends[1:], self.items)
        return csr_matrix((data, columns, ends + np.arange(len(ends))), shape=(len(self.items), self.middle.shape[1]))


class Outline(NamedTuple):
    """P ≈ diag(`diagonal`) + `local` + `left`·`right`ᵀ."""

    diagonal: NDArray[np.float32]  # [n], exact
    local: csr_matrix  # [n × n], without a diagonal
    left: NDArray[np.float32]  # [n × rank]
    right: NDArray[np.float32]  # [n × rank]

    def products(self, asked: csr_matrix) -> NDArray[np.float32]:
        """About x·P for the rows x of `asked` [rows × n], which are sparse."""
        found: NDArray[np.float32] = (asked @ (self.local + diags_array(self.diagonal, format="csr"))).toarray()
        found += (asked @ self.left) @ self.right.T
        return found


class Residual(NamedTuple):
    """How much is wrong with a corrected inverse, in norms of P scaled to a diagonal of 1."""

    missed: float
    """As a share of the change there should have been: 1 is what doing nothing has."""
    error: float
    """As a share of the inverse itself."""


def half(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """A symmetric matrix [n × n] without what stands below the diagonal [n·(n + 1)/2]."""
    parts = [matrix[row, row:] for row in range(len(matrix))]
    return np.concatenate(parts, dtype=np.float32) if parts else np.empty(0, dtype=np.float32)


def whole(halved: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The matrix [size × size] of `half`."""
    made, start = np.zeros((size, size), dtype=np.float32), 0
    for row in range(size):
        made[row, row:] = halved[start : start + size - row]
        start += size - row
    linear.mirror(made)
    return made


def widened(halved: NDArray[np.float32], places: NDArray[np.integer], size: int, own: float) -> NDArray[np.float32]:
    """The half of a matrix [size × size] with the rows and columns of `halved` at `places`; the others have only `own` on the diagonal."""
    if len(places) == size:
        return halved
    spaced = np.zeros((size, size), dtype=np.float32)
    spaced[np.diag_indices(size)] = own
    spaced[np.ix_(places, places)] = whole(halved, len(places))
    return half(spaced)


def diagonal(halved: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """[size]"""
    found: NDArray[np.float32] = halved[_first(size) + np.arange(size)]
    return found


def rows(halved: NDArray[np.float32], items: NDArray[np.integer], size: int) -> NDArray[np.float32]:
    """Some rows of a matrix that is kept as its half [items × size]."""
    first, found = _first(size), np.empty((len(items), size), dtype=np.float32)
    for row, item in zip(found, items.tolist(), strict=True):
        row[:item] = halved[first[:item] + item]
        row[item:] = halved[first[item] + item : first[item] + size]
    return found


def replaced(
    halved: NDArray[np.float32], change: Change, found: NDArray[np.float32], diagonal: NDArray[np.float32]
) -> tuple[NDArray[np.float32], Residual]:
    """The half of P' by the rows that `corrected` found, and how much of the change is missing in it."""
    after = with_rows(halved, change.items, found, len(diagonal))
    return after, residual(halved, after, change, diagonal)


def with_rows(halved: NDArray[np.float32], items: NDArray[np.integer], found: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The half of a matrix whose rows and columns of some items are others [items × size]."""
    first, changed = _first(size), halved.copy()
    for row, item in zip(found, items.tolist(), strict=True):
        changed[first[:item] + item] = row[:item]
        changed[first[item] + item : first[item] + size] = row[item:]
    return changed


def strongest(effects: csr_matrix, diagonal: NDArray[np.float32], count: int) -> csr_matrix:
    """The `count` entries of P beside its diagonal that are largest, scaled to a diagonal of 1, among those kept in B = −P / diag P."""
    row = np.repeat(np.arange(effects.shape[0], dtype=np.int32), np.diff(effects.indptr))
    roots = np.sqrt(diagonal)
    strengths = np.abs(effects.data) * roots[effects.indices] / roots[row]
    if len(strengths) > count:
        kept = np.flatnonzero(strengths >= np.partition(strengths, len(strengths) - count)[len(strengths) - count])
    else:
        kept = np.arange(len(strengths))
    column = effects.indices[kept]
    offsets = np.searchsorted(row[kept], np.arange(effects.shape[0] + 1))
    return csr_matrix((-effects.data[kept] * diagonal[column], column, offsets), shape=effects.shape)


def remainder(
    effects: NDArray[np.float32], diagonal: NDArray[np.float32], local: csr_matrix, asked: csr_matrix, weights: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`left` and `right` of an outline: of what P has beside its diagonal and `local`, that which rows like `asked` have to do with.

    P is given as `effects` B = −P / diag P, dense with a diagonal of 0. The range is found from sums of rows drawn at random (Halko,
    Martinsson and Tropp, "Finding structure with randomness", 2011), each with the root of its weight.
    """
    count, size = asked.shape
    rank = min(RANK, size)
    rng = np.random.default_rng(0)
    signs = rng.choice(np.array([-1, 1], dtype=np.float32), count) * np.sqrt(weights)
    drawn = csr_matrix((signs, (rng.integers(0, rank, count), np.arange(count))), shape=(rank, count))

    def times(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = -(effects @ (diagonal[:, None] * vectors)) - local @ vectors
        return found

    basis = np.linalg.qr(times((drawn @ asked).toarray().T))[0]
    return times(basis), basis


def corrected(halved: NDArray[np.float32], change: Change, outline: Outline) -> NDArray[np.float32]:
    """The rows of P' of the changed items [items × n].

    Where few rows of the data changed, exact but for the extra diagonal. Else exact if a single item had changed, and to first order
    between items, as far as the outline is: what the change of an item makes of the entry between two others is left out.
    """
    size = len(outline.diagonal)
    before = rows(halved, change.items, size)
    if len(change.weights) <= FEW:
        before = _of_few(before, halved, change)
        places = (change.extra, change.items, np.arange(len(change.items) + 1))
        return _item_by_item(before, change.extra[:, None] * before, csr_matrix(places, shape=before.shape), change.items)
    half = change.half(change.scatter())
    by_rows = half.copy()
    by_rows.data[half.indptr[1:] - 1] = 0  # of the extra diagonal the products are known exactly
    products = change.extra[:, None] * before

    def add(part: slice) -> None:
        for start in range(part.start, part.stop, _ROWS):
            some = slice(start, min(start + _ROWS, part.stop))
            products[some] += outline.products(by_rows[some])

    threads.in_halves(add, len(products))
    return _item_by_item(before, products, half, change.items)


def _of_few(before: NDArray[np.float32], halved: NDArray[np.float32], change: Change) -> NDArray[np.float32]:
    """Rows of P after the rows of the data, in the place of those before, by Woodbury's identity.

    P − RᵀK⁻¹R, with R = [d; x̄]·P and K = [0, 1/w; 1/w, 0] + R·[d; x̄]ᵀ.
    """
    count = len(change.weights)
    said = np.concatenate([change.moved.toarray(), change.middle.toarray()])
    products = np.empty_like(said)
    products[:count] = said[:count, change.items] @ before
    for row in range(count, 2 * count):
        products[row] = _times(halved, said[row])
    inner = (products @ said.T).astype(np.float64)
    crosswise = np.arange(count)
    inner[crosswise, count + crosswise] += 1 / change.weights
    inner[count + crosswise, crosswise] += 1 / change.weights
    before -= np.linalg.solve(inner, products[:, change.items]).astype(np.float32).T @ products
    return before


def _item_by_item(
    before: NDArray[np.float32], products: NDArray[np.float32], half: csr_matrix, items: NDArray[np.integer]
) -> NDArray[np.float32]:
    """The rows of P' from those of P, in their place, M and M·P [items × n each].

    For one item, e being its indicator, Δ = e·mᵀ + m·eᵀ has rank 2, and with a = eᵀPe, b = eᵀPm, c = mᵀPm the matrix inversion lemma
    gives P'e = ((1 + b)·Pe − a·Pm) / ((1 + b)² − a·c). What another item makes of the entry between both is added.
    """
    own = (np.arange(len(items)), items)
    a, b = before[own], products[own]
    stored = np.repeat(np.arange(len(items)), np.diff(half.indptr))
    c = np.bincount(stored, weights=half.data * products[stored, half.indices], minlength=len(items))
    # Positive if the products are those with a positive definite matrix, but of an outline they are about so.
    determinant = np.maximum((1 + b) ** 2 - a * c, 0.05).astype(np.float32)
    scale = np.ones(before.shape[1], dtype=np.float32)
    scale[items] = (1 + b) / determinant
    weights = a / determinant
    across = (weights[:, None] * products[:, items]).T

    def change(part: slice) -> None:
        for start in range(part.start, part.stop, _BLOCK):
            some = slice(start, min(start + _BLOCK, part.stop))
            before[some] *= scale
            before[some] *= scale[items[some], None]
            before[some] -= weights[some, None] * products[some]
            before[some, items] -= across[some]

    threads.in_halves(change, len(items))
    before[own] = weights
    return before


def residual(before: NDArray[np.float32], after: NDArray[np.float32], change: Change, diagonal: NDArray[np.float32]) -> Residual:
    """What is missing between the halves of P and P', measured with random vectors: P = P' + P·Δ·P' if P' is right."""
    roots, scatter = np.sqrt(diagonal), change.scatter()
    missed = wanted = known = 0.0
    for probe in np.random.default_rng(0).standard_normal((PROBES, len(roots))).astype(np.float32) / roots:
        then, now = _times(before, probe), _times(after, probe)
        step = change.middle.T @ (scatter.T @ now[change.items])
        step[change.items] += scatter @ (change.middle @ now) + 2 * change.extra * now[change.items]
        expected = _times(before, step)
        missed += float(np.square((then - now - expected) / roots, dtype=np.float64).sum())
        wanted += float(np.square(expected / roots, dtype=np.float64).sum())
        known += float(np.square(then / roots, dtype=np.float64).sum())
    return Residual((missed / wanted) ** 0.5 if wanted else 0.0, (missed / known) ** 0.5 if known else 0.0)


def _times(halved: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    product: NDArray[np.float32] = blas.sspmv(len(vector), 1.0, halved, vector, lower=1)
    return product


def _first(size: int) -> NDArray[np.int64]:
    """Where entry (row, column) of the upper triangle stands in the half, less the column [size]."""
    row = np.arange(size, dtype=np.int64)
    return row * size - row * (row + 1) // 2
