"""The ids of a model's items as two arrays, read from where they are stored, so that a mapped model has no copy of them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import eq
from typing import overload

import numpy as np
from numpy.typing import NDArray


class InvalidIds(Exception):
    """The arrays are no ids; the message says why."""


class Ids(Sequence[str]):
    """Different texts: `text` has them all, one after the other in UTF-8 [bytes], number i at `offsets[i]:offsets[i + 1]` [ids + 1].

    Raises `InvalidIds`.
    """

    def __init__(self, text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        if text.ndim != 1 or text.dtype != np.uint8 or offsets.ndim != 1 or offsets.dtype != np.int64 or not len(offsets):
            raise InvalidIds(f"ids are uint8 and int64 in one dimension, not {text.dtype} {text.shape} and {offsets.dtype} {offsets.shape}")
        if offsets[0] != 0 or offsets[-1] != len(text) or (np.diff(offsets) < 0).any():
            raise InvalidIds(f"the offsets of the ids do not divide {len(text)} bytes")
        self.text = text
        self.offsets = offsets
        try:
            distinct = len(set(self))
        except UnicodeDecodeError as error:
            raise InvalidIds(f"an id is not UTF-8: {error}") from error
        if distinct != len(self):
            raise InvalidIds("item_ids names an item twice")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(self)[place]
        number = range(len(self))[place]
        return self.text[self.offsets[number] : self.offsets[number + 1]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        text = self.text.tobytes()
        return (text[start:end].decode() for start, end in pairwise(self.offsets.tolist()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Ids of {len(self)} items"


def joined(ids: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The text and the offsets of `Ids`."""
    encoded = [one.encode() for one in ids]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets
