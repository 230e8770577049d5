"""From rankings to the entries of lists: what each is, why it is there, in the numbers of the database."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.entries import REASON_ITEMS, Entries, kind_of
from ml_worker.catalogue import Catalogue
from ml_worker.recommenders.answers import Answer

_NEW: Final = kind_of("new", "new")
# By whether the list is personal.
_BECAUSE: Final = np.array([kind_of("popular", "because_you_watched"), kind_of("personal", "because_you_watched")], dtype=np.int16)
_CATEGORY: Final = np.array([kind_of("popular", "category"), kind_of("personal", "category")], dtype=np.int16)
_POPULAR: Final = np.array([kind_of("popular", "popular"), kind_of("personal", "popular")], dtype=np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Rankings of some users side by side [users × places], best first; behind the end of a shorter one stands −1."""

    answer: Answer
    items: NDArray[np.int32]  # columns of the catalogue
    scores: NDArray[np.float32]
    profiles: NDArray[np.float32]  # [users × categories] how much they like each


def explained(catalogue: Catalogue, is_new: NDArray[np.bool_], chosen: Chosen) -> list[Entries]:
    """The entries of each user with their reasons: what the model can explain is; `is_new` says which items of the catalogue are new."""
    items = chosen.items
    told = chosen.answer.speakers(np.where(items < catalogue.known, items, -1), count=REASON_ITEMS)
    reasons = np.where(told >= 0, catalogue.numbers[told], 0)
    personal = chosen.answer.is_personal.astype(np.intp)[:, None]
    is_told, is_late = told[:, :, 0] >= 0, is_new[items] & (items >= catalogue.known)
    kinds = np.where(is_told, _BECAUSE[personal], np.where(is_late, np.int16(_NEW), _POPULAR[personal]))
    named: dict[int, tuple[str, ...]] = {}
    row, place, favourite = _favourites(catalogue, chosen, (items >= 0) & ~is_told & ~is_late)
    kinds[row, place] = _CATEGORY[personal[row, 0]]
    for user in np.unique(row).tolist():
        mine = row == user
        names, which = np.unique(favourite[mine], return_inverse=True)
        reasons[user, place[mine], 0] = -1 - which
        named[user] = tuple(catalogue.category_names[name] for name in names.tolist())
    numbers, scores = _elements(catalogue.numbers[items], ">i4"), _elements(chosen.scores, ">f4")
    kinds, reasons = _elements(kinds, ">i2"), _elements(reasons, ">i4")
    return [
        Entries(
            numbers[user, :length].tobytes(),
            scores[user, :length].tobytes(),
            kinds[user, :length].tobytes(),
            reasons[user, :length].tobytes(),
            named.get(user, ()),
        )
        for user, length in enumerate(np.count_nonzero(items >= 0, axis=1).tolist())
    ]


def _favourites(
    catalogue: Catalogue, chosen: Chosen, wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32]]:
    """User, place and category of those wanted entries that have a category the user likes: the most liked one, and of equals the first."""
    row, place = np.nonzero(wanted & (chosen.profiles.max(axis=1, initial=0) > 0)[:, None])
    having = catalogue.categories[chosen.items[row, place]]
    lengths = np.diff(having.indptr)
    row, place, lengths = row[lengths > 0], place[lengths > 0], lengths[lengths > 0]
    if not len(row):
        return row, place, np.empty(0, dtype=np.int32)
    starts = np.cumsum(lengths) - lengths
    liking = chosen.profiles[np.repeat(row, lengths), having.indices]
    greatest = np.maximum.reduceat(liking, starts)
    places = np.where(liking == np.repeat(greatest, lengths), np.arange(len(liking)), len(liking))
    favourite = having.indices[np.minimum.reduceat(places, starts)]
    is_liked = greatest > 0
    return row[is_liked], place[is_liked], favourite[is_liked]


def _elements(values: NDArray[Any], form: str) -> NDArray[Any]:
    """Numbers as elements of PostgreSQL's binary arrays, each behind its length in bytes."""
    made = np.empty(values.shape, dtype=[("length", ">i4"), ("value", form)])
    made["length"], made["value"] = np.dtype(form).itemsize, values
    return made
