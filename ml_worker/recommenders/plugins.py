"""Algorithms of other packages: found by entry point, checked, and never able to stop a worker."""

import inspect
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Final

from ml_worker.recommenders.base import Recommender

GROUP: Final = "marquee.recommenders"
RESERVED: Final = frozenset({"default"})
"""Names that stand for something else than an algorithm."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Plugins:
    """What other packages offer: the usable algorithms by name, and one sentence for each that is not."""

    usable: dict[str, type[Recommender]]
    broken: dict[str, str]


class _Unusable(Exception):
    """Why an entry point gives no algorithm."""


def find_plugins(built_in: Collection[str], offered: Iterable[EntryPoint] | None = None) -> Plugins:
    """Load every entry point of the group `marquee.recommenders`, or those given; whatever is wrong with one concerns no other.

    The name of an entry point is the name of the algorithm; names in `built_in` are taken.
    """
    points = sorted(entry_points(group=GROUP) if offered is None else offered, key=lambda point: (point.name, point.value))
    offers = Counter(point.name for point in points)
    usable: dict[str, type[Recommender]] = {}
    broken: dict[str, str] = {}
    for point in points:
        try:
            _check_name(point.name, built_in, offers)
            usable[point.name] = _load(point)
        except _Unusable as error:
            broken[point.name] = f"the algorithm {point.name!r} of {_package(point)} cannot be used: {error}"
    return Plugins(usable, broken)


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name} {point.dist.version}" if point.dist is not None else f"the module {point.module}"


def _check_name(name: str, built_in: Collection[str], offers: Counter[str]) -> None:
    if not _NAME.fullmatch(name):
        raise _Unusable("a name is lower-case letters, digits and underscores, beginning with a letter")
    if name in built_in or name in RESERVED:
        raise _Unusable("Marquee has one of this name; choose another")
    if offers[name] > 1:
        raise _Unusable(f"{offers[name]} packages offer one of this name; uninstall all but one")


def _load(point: EntryPoint) -> type[Recommender]:
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # a module may do anything when it is imported
        raise _Unusable(f"importing {point.value} ended in {type(error).__name__}: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Recommender)):
        raise _Unusable(f"{point.value} is not a subclass of ml_worker.recommenders.base.Recommender")
    if inspect.isabstract(found):
        raise _Unusable(f"{found.__name__} does not define {', '.join(sorted(found.__abstractmethods__))}")
    if getattr(found, "name", None) != point.name:
        raise _Unusable(f"{found.__name__}.name is {getattr(found, 'name', None)!r}; it must be the name of the entry point")
    for library in found.libraries:
        try:
            version(library)
        except PackageNotFoundError:
            raise _Unusable(f"{found.__name__}.libraries names {library!r}, which is not installed") from None
    return found
