"""List ids that tell where a list came from, so that a click on it can be counted long after the list was replaced."""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import Final, Literal, get_args

Surface = Literal["personal", "cold", "ranked", "session", "similar", "popular", "trending", "newest", "row"]
"""Where an entry was shown: the stored list, one computed for a request, and the lists that are the same for all."""

_SURFACES: Final[tuple[Surface, ...]] = get_args(Surface)
_VERSION_BITS, _EXPERIMENT_BITS, _ARM_BITS = 48, 20, 2
_RANDOM_BITS = 62 - _EXPERIMENT_BITS - _ARM_BITS
_RANDOM_BYTES = _RANDOM_BITS // 8


@dataclass(frozen=True, slots=True)
class Origin:
    """What a list id tells: 0 stands for no model version, and for no experiment."""

    surface: Surface
    model_version_id: int = 0
    experiment_id: int = 0
    arm: int = 0


def new_list_id(origin: Origin, *, seed: str | None = None) -> uuid.UUID:
    """A fresh id, or always the same for one seed.

    A UUID of version 8 (RFC 9562, 5.8): the model version in 48 bits, the surface in 12, experiment, arm and 40 random ones.
    """
    if seed is None:
        return new_list_ids(origin, 1)[0]
    return uuid.UUID(int=_told_of(origin) | int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) & (1 << _RANDOM_BITS) - 1)


def new_list_ids(origin: Origin, count: int) -> list[uuid.UUID]:
    """So many fresh ids: chance is asked for once."""
    told, noise = _told_of(origin), secrets.token_bytes(_RANDOM_BYTES * count)
    drawn = (int.from_bytes(noise[start : start + _RANDOM_BYTES]) for start in range(0, len(noise), _RANDOM_BYTES))
    return [uuid.UUID(int=told | number) for number in drawn]


def _told_of(origin: Origin) -> int:
    """An id without its random bits."""
    of_test = (origin.experiment_id << _ARM_BITS | origin.arm) << _RANDOM_BITS
    return origin.model_version_id << 80 | 8 << 76 | _SURFACES.index(origin.surface) << 64 | 2 << 62 | of_test


def origin_of(list_id: uuid.UUID) -> Origin | None:
    """Where a list came from; None if the id is none of ours."""
    number = list_id.int
    place = number >> 64 & 0xFFF
    if list_id.version != 8 or place >= len(_SURFACES):  # noqa: PLR2004 (the version of RFC 9562)
        return None
    tail = (number & (1 << 62) - 1) >> _RANDOM_BITS
    return Origin(_SURFACES[place], number >> 80, tail >> _ARM_BITS, tail & (1 << _ARM_BITS) - 1)
