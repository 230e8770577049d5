"""Turns files of events into a question: what may be learnt, what is to be found, and what kind of test it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ml_worker.evaluation.splits import Protocol, Split
from ml_worker.evaluation.truth import Truth
from ml_worker.recommenders.interactions import Interactions
from ml_worker.workbench.files import Events, UnusableFile, read_events

Values = Literal["equal", "scaled"]
"""Whether every positive line speaks as loudly, or as its value relative to the mean of the positive values."""

NEARLY_ALL: Final = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A test on given data: the split, what may be used for choosing, and what was noticed on the way."""

    split: Split
    validation: Truth | None  # held out from the same training data
    protocol: Protocol
    why: str  # how the protocol was found
    asked: NDArray[np.int64]  # rows of all users who get a list, also those with nothing to find
    notes: tuple[str, ...]


def read_given(train: Path, test: Path, valid: Path | None = None, *, protocol: Protocol | None = None, values: Values = "equal") -> Given:
    """The test that these files make. The catalogue is what `train` names; every positive line of `test` is to be found.

    A user or item of `test` that `train` does not know cannot be answered or found: the users are left out, the items count as not
    found. What a user has in `train` is never recommended and so not to be found. Raises `UnusableFile`.
    """
    learnt, tested = read_events(train), read_events(test)
    interactions = _interactions(learnt, values)
    truth, asked, notes = _truth(tested, interactions)
    if not len(truth):
        notes += () if len(asked) else (f"users are written like {tested.user_ids[0]!r} there and {learnt.user_ids[0]!r} here",)
        raise UnusableFile(f"{test}: none of its {len(tested):,} lines can be found by anybody known from {train}; " + "; ".join(notes))
    validation = None
    if valid is not None:
        validation, _, valid_notes = _truth(read_events(valid), interactions)
        notes += valid_notes
        if not len(validation):
            raise UnusableFile(f"{valid}: none of its lines can be found by anybody known from {train}")
    found, why = infer_protocol(learnt, tested)
    if protocol is not None:
        found, why = protocol, "as asked for"
    return Given(Split(interactions, truth), validation, found, why, asked, (*_times_note(learnt), *notes))


def read_training(path: Path, *, values: Values = "equal") -> Interactions:
    """The training data in a file. Raises `UnusableFile`."""
    return _interactions(read_events(path), values)


def read_validation(path: Path, train: Interactions) -> Truth:
    """What is to be found by the users of the training data. Raises `UnusableFile`."""
    truth, _, _ = _truth(read_events(path), train)
    if not len(truth):
        raise UnusableFile(f"{path}: none of its lines can be found by anybody known from the training file")
    return truth


def infer_protocol(train: Events, test: Events) -> tuple[Protocol, str]:
    """What kind of test this is, from when its events are and how many each user has; never from its items."""
    codes = {user: code for code, user in enumerate(train.user_ids)}
    rows = np.array([codes.get(user, -1) for user in test.user_ids], dtype=np.int64)[test.users]
    known = rows >= 0
    single = float(np.mean(np.bincount(test.users) == 1))
    says_single = f"{single:.0%} of its users have one line"
    if train.times is None or test.times is None:
        if single >= NEARLY_ALL:
            return "next", f"no time stamps, and {says_single}"
        return "random", f"no time stamps, and only {says_single}"
    latest = np.full(len(train.user_ids), np.iinfo(np.int64).min)
    np.maximum.at(latest, train.users, train.times)
    later = float(np.mean(test.times[known] >= latest[rows[known]])) if known.any() else 0.0
    says_later = f"{later:.0%} of its lines are not earlier than the user's last in the training file"
    if later < NEARLY_ALL:
        return "random", f"only {says_later}"
    return ("next", f"{says_later}, and {says_single}") if single >= NEARLY_ALL else ("future", f"{says_later}, and only {says_single}")


def _interactions(events: Events, values: Values) -> Interactions:
    """Training data with sorted vocabularies. Without time stamps all times are 0: the order of the lines says what came first."""
    if events.values is not None and not (events.values > 0).any():
        raise UnusableFile(f"{events.path}: none of its {len(events):,} values is above 0, so that nobody likes anything")
    users, user_ids = _sorted(events.users, events.user_ids)
    items, item_ids = _sorted(events.items, events.item_ids)
    times = np.zeros(len(events), dtype=np.int64) if events.times is None else events.times
    return Interactions(user_ids, item_ids, users, items, _weights(events.values, values, len(events)), times)


def _weights(values: NDArray[np.float64] | None, how: Values, length: int) -> NDArray[np.float32]:
    if values is None:
        return np.ones(length, dtype=np.float32)
    if how == "equal":
        return np.sign(values).astype(np.float32)
    positive = values[values > 0]
    return (values / (positive.mean() if len(positive) else 1.0)).astype(np.float32)


def _sorted(codes: NDArray[np.int32], ids: tuple[str, ...]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    order = sorted(range(len(ids)), key=ids.__getitem__)
    place = np.empty(len(ids), dtype=np.int32)
    place[order] = np.arange(len(ids), dtype=np.int32)
    return place[codes], tuple(ids[code] for code in order)


def _truth(events: Events, train: Interactions) -> tuple[Truth, NDArray[np.int64], tuple[str, ...]]:
    """What is to be found, the rows of all users who are asked, and what cannot count."""
    rows = {user: row for row, user in enumerate(train.user_ids)}
    columns = {item: column for column, item in enumerate(train.item_ids)}
    new = len(columns)
    row_of = np.array([rows.get(user, -1) for user in events.user_ids], dtype=np.int64)
    column_of = np.array([columns.get(item, new + code) for code, item in enumerate(events.item_ids)], dtype=np.int64)
    users, items = row_of[events.users], column_of[events.items]
    times = np.zeros(len(events), dtype=np.int64) if events.times is None else events.times
    is_positive = np.ones(len(events), dtype=np.bool_) if events.values is None else events.values > 0
    is_asked = users >= 0
    kept = is_asked & is_positive
    truth = Truth.from_events(users[kept], items[kept], times[kept], train=train)
    counts = (
        (np.count_nonzero(row_of < 0), "users are not in the training file and get no list"),
        (np.count_nonzero(is_asked & ~is_positive), "lines have a value of 0 or less and are not to be found"),
        (np.count_nonzero(kept) - int(truth.sizes.sum()), "lines repeat another or name what the user has in the training file"),
        (int(truth.unknown.sum()), "lines name items that are not in the training file; they count as not found"),
    )
    name = events.path.name
    return truth, np.unique(users[is_asked]), tuple(f"{name}: {count:,} {what}" for count, what in counts if count)


def _times_note(events: Events) -> tuple[str, ...]:
    return () if events.times is not None else (f"{events.path.name}: no time stamps; the order of a user's lines is the order in time",)
