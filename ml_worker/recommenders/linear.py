"""What the linear models share: sums over users as dense matrices, ridge solves, and sparse weights in a state."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csc_matrix, csr_matrix
from threadpoolctl import threadpool_limits

from ml_worker.recommenders.state import DamagedModel
from ml_worker.recommenders.updating import Earlier

BLOCK_ROWS: Final = 1024
_BLOCK_COLUMNS: Final = 64
# What a core does in a second: multiplications of dense matrices, and of sparse ones.
_DENSE_SPEED, _SPARSE_SPEED = 5e10, 2e8


class NotDefinite(Exception):
    """The equations of a ridge regression have no unique answer."""


def one_thread() -> threadpool_limits:
    """As a context: dense algebra in one thread. More gain little here, and lose many times that where other processes want the cores."""
    return threadpool_limits(1, "blas")


def told(matrix: csr_matrix, dislike: float) -> csr_matrix:
    """What a history says: 1 for a like, −`dislike` for a dislike, 0 without a verdict; every entry stays stored."""
    return csr_matrix((verdicts(matrix.data, dislike), matrix.indices, matrix.indptr), shape=matrix.shape)


def verdicts(weights: NDArray[np.float32], dislike: float) -> NDArray[np.float32]:
    """1 for each weight above 0, −`dislike` for each below."""
    return np.where(weights > 0, np.float32(1), np.where(weights < 0, np.float32(-dislike), np.float32(0))).astype(np.float32)


def most_liked(matrix: csr_matrix, count: int) -> NDArray[np.intp]:
    """The columns with any like, or the `count` with the most of them; ascending."""
    likes = np.bincount(matrix.indices[matrix.data > 0], minlength=matrix.shape[1])
    first = np.lexsort((np.arange(len(likes)), -likes))[:count]
    return np.sort(first[likes[first] > 0])


def user_weights(matrix: csr_matrix, exponent: float) -> NDArray[np.float32]:
    """(n / mean n)^−exponent by the length n of each row; rows without entries weigh nothing."""
    lengths = np.diff(matrix.indptr).astype(np.float64)
    weights = np.zeros(len(lengths), dtype=np.float32)
    weights[lengths > 0] = (lengths[lengths > 0] / lengths[lengths > 0].mean()) ** -exponent
    return weights


def behind(popularity: NDArray[np.float32]) -> NDArray[np.float32]:
    """What orders items that no weight speaks of: the popularity, scaled so far down that it decides nothing else."""
    return (1e-6 * popularity / max(float(popularity.max(initial=0)), 1e-30)).astype(np.float32)


def gram(rows: csr_matrix, weights: NDArray[np.float32], report: Callable[[float], None]) -> NDArray[np.float32]:
    """Σ w·xᵀx over the rows x of a matrix [rows × n], each with its weight: float32 [n × n].

    Sparse rows are multiplied as such only where that is quicker. `report` is told the share done.
    """
    count, size = rows.shape
    lengths = np.diff(rows.indptr).astype(np.float64)
    if np.square(lengths).sum() / _SPARSE_SPEED < count * size**2 / _DENSE_SPEED:
        scaled = rows.multiply(weights[:, None]).tocsr()
        report(0.5)
        return np.asarray((scaled.T @ rows).toarray(), dtype=np.float32)
    total = np.zeros((size, size), dtype=np.float32)
    roots = np.sqrt(weights)[:, None]
    for start in range(0, count, BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS].toarray() * roots[start : start + BLOCK_ROWS]
        total += block.T @ block
        report(min(1.0, (start + BLOCK_ROWS) / count))
    return total


def invert(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of a symmetric positive definite matrix [n × n], in its place. Raises `NotDefinite`."""
    if not len(matrix):
        return matrix
    factor, info = lapack.spotrf(matrix.T, lower=1, overwrite_a=1)
    if info == 0:
        inverse, info = lapack.spotri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise NotDefinite(f"the matrix of {len(matrix)} rows is not positive definite (LAPACK says {info})")
    mirror(inverse.T)
    return np.asarray(inverse.T)


def solve(matrix: NDArray[np.float32], sides: NDArray[np.float32]) -> NDArray[np.float32]:
    """The solution X of matrix·X = sides for a symmetric positive definite matrix [n × n]; overwrites both. Raises `NotDefinite`."""
    if not len(matrix):
        return sides
    factor, info = lapack.spotrf(matrix.T, lower=1, overwrite_a=1)
    if info != 0:
        raise NotDefinite(f"the matrix of {len(matrix)} rows is not positive definite (LAPACK says {info})")
    solved, _ = lapack.spotrs(factor, np.asfortranarray(sides), lower=1, overwrite_b=1)
    return np.ascontiguousarray(solved)


def both_sided(matrix: NDArray[np.float32], block: int = 512) -> NDArray[np.float32]:
    """A square matrix plus its mirror image, in its place."""
    size = len(matrix)
    for start in range(0, size, block):
        stop = min(start + block, size)
        square = matrix[start:stop, start:stop]
        square += square.T.copy()
        matrix[start:stop, stop:] += matrix[stop:, start:stop].T
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T
    return matrix


def mirror(matrix: NDArray[np.float32], block: int = 512) -> None:
    """Copy what stands above the diagonal of a square matrix below it."""
    size = len(matrix)
    for start in range(0, size, block):
        stop = min(start + block, size)
        square = matrix[start:stop, start:stop]
        below = np.tril_indices(stop - start, -1)
        square[below] = square.T[below]
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T


def keep_largest(dense: NDArray[np.float32], count: int, block: int = 256) -> csr_matrix:
    """The `count` entries of largest magnitude of each row of a matrix [rows × n], without zeros; the columns ascend."""
    rows, size = dense.shape
    kept = min(count, size)
    columns, values = np.empty((rows, kept), dtype=np.int32), np.empty((rows, kept), dtype=np.float32)
    for start in range(0, rows, block):
        part = dense[start : start + block]
        chosen = np.argpartition(np.abs(part), size - kept, axis=1)[:, size - kept :] if kept < size else np.arange(size)[None, :]
        chosen = np.sort(np.broadcast_to(chosen, (len(part), kept)), axis=1)
        columns[start : start + block] = chosen
        values[start : start + block] = np.take_along_axis(part, chosen, axis=1)
    matrix = csr_matrix((values.ravel(), columns.ravel(), np.arange(0, rows * kept + 1, max(kept, 1))[: rows + 1]), shape=dense.shape)
    matrix.eliminate_zeros()
    return matrix


def said_of(matrix: csr_matrix, states: csr_matrix) -> NDArray[np.float32]:
    """What `states` have where `matrix` [both users × items] has its entries, in their order: 0 where they have nothing."""
    if states.nnz == matrix.nnz and np.may_share_memory(states.indices, matrix.indices):
        return np.asarray(states.data, dtype=np.float32)  # as `told` makes them
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.asarray(states.toarray()[rows, matrix.indices], dtype=np.float32)


def spread(matrix: csr_matrix, places: NDArray[np.integer], size: int) -> csr_matrix:
    """A square matrix between some items as one between all `size`: row and column k become `places[k]`, which ascend."""
    if len(places) == size:
        return matrix
    columns = np.asarray(places, dtype=np.int32)[matrix.indices]
    return spread_rows(csr_matrix((matrix.data, columns, matrix.indptr), shape=(len(places), size)), places, size)


def among(matrix: csr_matrix, kept: NDArray[np.bool_], places: NDArray[np.integer]) -> csr_matrix:
    """The reverse of `spread`: row and column `places[k]`, which ascend, become k. Columns that are not `kept` lose their entries.

    Other rows than those have none.
    """
    if len(places) == len(kept) and kept.all():
        return matrix
    stays = selected(matrix, kept[matrix.indices])
    place = np.zeros(len(kept), dtype=np.int32)
    place[places] = np.arange(len(places))
    offsets = np.r_[0, np.cumsum(np.diff(stays.indptr)[places])]
    return csr_matrix((stays.data, place[stays.indices], offsets), shape=(len(places), len(places)))


def spread_rows(matrix: csr_matrix, places: NDArray[np.integer], size: int) -> csr_matrix:
    """The rows of a matrix [rows × n] as those at `places`, which ascend, of one with `size` rows; the others are empty."""
    lengths = np.zeros(size, dtype=np.int64)
    lengths[places] = np.diff(matrix.indptr)
    return csr_matrix((matrix.data, matrix.indices, np.r_[0, np.cumsum(lengths)]), shape=(size, matrix.shape[1]))


def moved(name: str, earlier: Earlier) -> csr_matrix:
    """The matrix of an earlier model with its rows and columns where the items are now."""
    return spread(unpacked(name, earlier.arrays), earlier.columns, len(earlier.interactions.item_ids))


def times_columns(matrix: csr_matrix, factors: NDArray[np.float32]) -> csr_matrix:
    """Each column times its factor."""
    return csr_matrix((matrix.data * factors[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)


def replaced(
    matrix: csr_matrix, items: NDArray[np.integer], columns: NDArray[np.float32], *, kept: int, empties_rows: bool = False
) -> csr_matrix:
    """A matrix [n × n] with other columns [items × n] for some items, which ascend; their rows have nothing if it `empties_rows`.

    Of the new columns those entries are kept that are not smaller than all that is kept of their row; of a row with fewer than `kept`, all.
    """
    size, items = matrix.shape[0], np.asarray(items)
    is_new = np.zeros(size, dtype=np.bool_)
    is_new[items] = True
    lengths = np.diff(matrix.indptr)
    least = np.full(size, np.inf, dtype=np.float32)
    has_any = np.flatnonzero(lengths)
    if len(has_any):
        least[has_any] = np.minimum.reduceat(np.abs(matrix.data), matrix.indptr[has_any])
    least[lengths < min(kept, size - 1)] = np.finfo(np.float32).tiny
    stays = ~is_new[matrix.indices]
    if empties_rows:
        stays &= ~np.repeat(is_new, lengths)
        least[items] = np.inf
    # In parts that stay in the cache.
    blocks = range(0, len(items), _BLOCK_COLUMNS)
    found = [start * size + np.flatnonzero(np.abs(columns[start : start + _BLOCK_COLUMNS]) >= least) for start in blocks]
    entering = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    of_item, of_row = np.divmod(entering, size)
    entries = csc_matrix(
        (columns.ravel()[entering], of_row, np.searchsorted(of_item, np.arange(len(items) + 1))), shape=(size, len(items))
    ).tocsr()
    whole = selected(matrix, stays) + csr_matrix((entries.data, items[entries.indices], entries.indptr), shape=matrix.shape)
    return whole.tocsr()


def selected(matrix: csr_matrix, stays: NDArray[np.bool_]) -> csr_matrix:
    """Of the stored entries those that stay."""
    places = np.flatnonzero(stays)
    return csr_matrix((matrix.data[places], matrix.indices[places], np.searchsorted(places, matrix.indptr)), shape=matrix.shape)


def packed(name: str, matrix: csr_matrix) -> dict[str, NDArray[Any]]:
    """A sparse matrix as arrays of a state."""
    return {
        f"{name}_offsets": matrix.indptr.astype(np.int64),
        f"{name}_items": matrix.indices.astype(np.int32),
        f"{name}_weights": matrix.data.astype(np.float32),
    }


def packed_layout(name: str, items: int) -> dict[str, tuple[tuple[int | None, ...], type[np.generic]]]:
    """The layout of `packed` for a matrix [items × items]."""
    return {f"{name}_offsets": ((items + 1,), np.int64), f"{name}_items": ((None,), np.int32), f"{name}_weights": ((None,), np.float32)}


def unpacked(name: str, arrays: Mapping[str, NDArray[Any]]) -> csr_matrix:
    """The matrix [items × items] in the arrays of `packed`. Raises `DamagedModel`."""
    offsets, items, weights = (arrays[f"{name}_{part}"] for part in ("offsets", "items", "weights"))
    size = len(offsets) - 1
    if offsets[0] != 0 or (np.diff(offsets) < 0).any() or not offsets[-1] == len(items) == len(weights):
        raise DamagedModel(f"{name}_offsets do not divide {len(items)} items and {len(weights)} weights into rows")
    if len(items) and (items.min() < 0 or items.max() >= size):
        raise DamagedModel(f"{name}_items names items outside the model's {size}")
    return csr_matrix((weights, items, offsets), shape=(size, size))
