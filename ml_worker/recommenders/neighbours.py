"""Items alike in content: what lets an item without likes inherit from those that have them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

RIDGE: Final = 20.0
"""Of `content_rows`, where an item's features have length 1."""
MOST_FEATURES: Final = 2000
"""So many features are regressed on, the most frequent: the equations are dense in them."""


def unit_rows(matrix: csr_matrix) -> csr_matrix:
    """The rows scaled to length 1; empty ones stay empty."""
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return (diags(1 / np.maximum(lengths, 1e-12)) @ matrix).tocsr()


def rare_features(features: csr_matrix) -> csr_matrix:
    """Features weighed by how rare they are, log(items / items with it), in rows of length 1."""
    frequency = np.bincount(features.indices, minlength=features.shape[1])
    rarity = np.log((features.shape[0] + 1) / np.maximum(frequency, 1))
    return unit_rows((features @ diags(rarity)).tocsr().astype(np.float32))


def content_columns(effects: csr_matrix, features: csr_matrix, known: NDArray[np.integer], count: int, block: int = 512) -> csr_matrix:
    """The weights [items × items] where each column not `known` is the mean column of the `count` known items of nearest content.

    Nearness is the cosine of `rare_features`. Items whose features no known item shares keep an empty column.
    """
    size = effects.shape[0]
    is_known = np.zeros(size, dtype=np.bool_)
    is_known[known] = True
    cold = np.flatnonzero(~is_known & (np.diff(features.indptr) > 0))
    if not len(cold) or not len(known):
        return effects
    scaled = rare_features(features)
    rows, columns, shares = [], [], []
    for start in range(0, len(cold), block):
        part = cold[start : start + block]
        nearness = (scaled[part] @ scaled[known].T).toarray()
        kept = min(count, nearness.shape[1])
        nearest = np.argsort(-nearness, axis=1, kind="stable")[:, :kept]
        alike = np.take_along_axis(nearness, nearest, axis=1) > 0
        rows.append(np.asarray(known)[nearest[alike]])
        columns.append(np.repeat(part, alike.sum(axis=1)))
        shares.append(np.repeat(1 / np.maximum(alike.sum(axis=1), 1), alike.sum(axis=1)))
    # Column j of the product is the mean of its neighbours' columns; known items map to themselves.
    places = (np.r_[np.concatenate(rows), known], np.r_[np.concatenate(columns), known])
    mixing = csr_matrix((np.r_[np.concatenate(shares), np.ones(len(known))].astype(np.float32), places), shape=(size, size))
    return (effects @ mixing).tocsr().astype(np.float32)


def content_rows(rows: NDArray[np.float32], features: csr_matrix, is_known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The rows [items × n] where each one not known is what a ridge regression of the known ones on `rare_features` makes of its own.

    Items without any of the features that known items have keep their rows.
    """
    frequency = np.bincount(features[is_known].indices, minlength=features.shape[1])
    kept = np.lexsort((np.arange(len(frequency)), -frequency))[:MOST_FEATURES]
    scaled = rare_features(features)[:, kept[frequency[kept] > 0]].tocsr()
    cold = np.flatnonzero(~is_known & (np.diff(scaled.indptr) > 0))
    if not len(cold):
        return rows
    known = scaled[is_known]
    system = (known.T @ known).toarray().astype(np.float64)
    system[np.diag_indices(len(system))] += RIDGE
    found = rows.copy()
    found[cold] = scaled[cold] @ np.linalg.solve(system, known.T @ rows[is_known])
    return found
