"""Demo data with real structure: seeded, of any size, with films and people nobody has met (docs/demo-data.md)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from datasets import demo_films
from datasets.demo_tastes import DAY, Audience, Catalogue, Floats, Ints, Meetings, Random, draw_audience, draw_catalogue, draw_meetings
from datasets.rows import CHUNK_ROWS, InteractionRow, ItemRow, Progress, UserRow

# What of all interactions is what; the rest are watches. A film is rated, watched or both.
RATED, LIKED, BOOKMARKED, WATCHED_ONLY = 0.60, 0.06, 0.04, 0.12
WHOLE_STARS = 0.45  # the share of ratings by people who never give half a star
TELLING = 0.8  # the share of users who chose categories when they signed up
DENSEST = 0.25


class SizeImpossible(ValueError):
    """The numbers of users, items and interactions do not go together; the message says why."""


@dataclass(frozen=True, slots=True)
class DemoSize:
    """How much to generate; `interactions` counts every type."""

    users: int = 600
    items: int = 1200
    interactions: int = 60_000

    def __post_init__(self) -> None:
        for name, least in (("users", 1), ("items", 10), ("interactions", 0)):
            if getattr(self, name) < least:
                raise SizeImpossible(f"{name} must be at least {least}, not {getattr(self, name)}")
        most = int(self.users * self.items * DENSEST)
        if self.interactions > most:
            raise SizeImpossible(
                f"{self.users} users and {self.items} items have room for at most {most} interactions, not {self.interactions}"
            )


class DemoData:
    """A generated data set; the same size and seed give the same rows, all times relative to `until`."""

    def __init__(self, size: DemoSize, *, seed: int, until: datetime, on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        random = np.random.default_rng(seed)
        self._size, self._until, self._on_progress = size, until, on_progress
        self._films: Catalogue = draw_catalogue(random, size.items)
        rated = int(size.interactions * RATED)
        count = rated + int(size.interactions * WATCHED_ONLY)
        self._people: Audience = draw_audience(random, size.users, meetings=count, most=max(1, size.items // 2))
        meetings = draw_meetings(random, self._films, self._people)
        self._rows = _Events(random, self._films, self._people, meetings, rated=rated, total=size.interactions)
        self._random = random

    def users(self) -> Iterator[UserRow]:
        """Everybody, most with the three genres they like best."""
        taste = self._people.taste_before[:, : len(demo_films.GENRE_NAMES)]
        favourites = np.argsort(-taste, axis=1)[:, :3]
        tells = self._random.random(self._size.users) < TELLING
        for place in range(self._size.users):
            liked = [demo_films.GENRE_NAMES[genre] for genre in favourites[place]] if tells[place] else []
            yield UserRow(self._user_id(place), demo_films.person(self._random), liked)

    def items(self) -> Iterator[ItemRow]:
        """Every film with its invented title; no image, because none can be shown without a network."""
        first = [demo_films.GENRE_NAMES[genre] for genre in self._films.first_genre]
        midnight = self._until.replace(hour=0, minute=0, second=0, microsecond=0)
        runtimes = np.clip(self._random.normal(106, 17, size=self._size.items), 62, 198).astype(int)
        for place, title in enumerate(demo_films.titles(self._random, first)):
            also = [demo_films.GENRE_NAMES[genre] for genre in np.flatnonzero(self._films.genres[place])]
            genres = [first[place], *(genre for genre in also if genre != first[place])]
            yield ItemRow(
                id=self._item_id(place),
                title=title,
                categories=genres,
                tags=demo_films.tags(self._films.factors[place].tolist()),
                released_at=midnight - timedelta(days=int(self._films.age_days[place])),
                description=demo_films.description(self._random, genres),
                attributes={"director": demo_films.person(self._random), "runtime_minutes": int(runtimes[place])},
            )

    def interactions(self) -> Iterator[list[InteractionRow]]:
        """Everything that happened, oldest first."""
        users = [self._user_id(place) for place in range(self._size.users)]
        items = [self._item_id(place) for place in range(self._size.items)]
        end = int(self._until.timestamp())
        rows, total = self._rows, self._size.interactions
        for start in range(0, total, CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            columns = (rows.user[part], rows.item[part], rows.type[part], rows.value[part], end - rows.seconds_ago[part])
            yield [
                (users[user], items[item], TYPES[kind], value, moment)
                for user, item, kind, value, moment in zip(*(column.tolist() for column in columns), strict=True)
            ]
            self._on_progress(Progress("demo data", min(start + CHUNK_ROWS, total), total, min(start + CHUNK_ROWS, total)))

    def _user_id(self, place: int) -> str:
        return f"demo-{place + 1:0{len(str(self._size.users))}}"

    def _item_id(self, place: int) -> str:
        return f"film-{place + 1:0{len(str(self._size.items))}}"


def generate(
    size: DemoSize, *, seed: int = 1, until: datetime | None = None, on_progress: Callable[[Progress], None] = lambda _: None
) -> DemoData:
    """Invent a data set whose last interactions are of about `until` (aware; default: now)."""
    return DemoData(size, seed=seed, until=until or datetime.now(UTC), on_progress=on_progress)


TYPES = ("rating", "watch", "like", "bookmark")


class _Events:
    """Meetings turned into rows: columns of the same length, oldest row first."""

    def __init__(self, random: Random, films: Catalogue, people: Audience, meetings: Meetings, *, rated: int, total: int) -> None:
        liked, bookmarked = int(total * LIKED), int(total * BOOKMARKED)
        stars = _stars(random, films, people, meetings)
        shuffled = random.permutation(len(meetings.user))
        is_rated, unrated = shuffled[:rated], shuffled[rated:]
        also_watched = is_rated[: total - rated - liked - bookmarked - len(unrated)]
        watched = np.concatenate([unrated, also_watched])
        # Who gave many stars often says so with a like; what looked like one's taste was bookmarked days before.
        likes = is_rated[_most(stars[is_rated] + 0.5 * random.gumbel(size=rated), liked)]
        bookmarks = shuffled[_most(meetings.affinity[shuffled] + 2 * random.gumbel(size=len(shuffled)), bookmarked)]
        completion = np.clip(0.25 + 0.2 * stars[watched] + 0.15 * random.normal(size=len(watched)), 0.02, 1).round(2)
        groups = (is_rated, watched, likes, bookmarks)
        values = (stars[is_rated], completion, np.ones(len(likes)), np.ones(len(bookmarks)))
        # Seconds from the start of the film: rated after it, watched to its end, liked on the way out.
        delays = (
            2.05 * 3600 + random.integers(0, 600, size=rated),
            1.75 * 3600 + random.integers(0, 900, size=len(watched)),
            2.25 * 3600 + random.integers(0, 300, size=len(likes)),
            -DAY * random.exponential(4, size=len(bookmarks)),
        )
        place = np.concatenate(groups)
        seconds_ago = meetings.days_ago[place] * DAY - np.concatenate(delays)
        order = np.argsort(-seconds_ago, kind="stable")
        self.user: Ints = meetings.user[place][order]
        self.item: Ints = meetings.item[place][order]
        self.type: Ints = np.repeat(np.arange(len(groups)), [len(group) for group in groups])[order]
        self.value: Floats = np.concatenate(values)[order]
        self.seconds_ago: Ints = seconds_ago[order].astype(np.int64)


def _stars(random: Random, films: Catalogue, people: Audience, meetings: Meetings) -> Floats:
    """Stars in halves: the person's strictness, the film's quality, their agreement, and a mood; whole stars are the commoner."""
    if not len(meetings.user):
        return np.empty(0)
    centred = meetings.affinity - meetings.affinity.mean()
    merit = films.quality[meetings.item] - films.quality[meetings.item].mean()
    stars = 3.52 - people.strictness[meetings.user] + 0.33 * merit + 0.5 * centred + 0.65 * random.normal(size=len(centred))
    whole = random.random(len(stars)) < WHOLE_STARS
    rounded: Floats = np.where(whole, np.round(stars), np.round(stars * 2) / 2)
    return np.clip(rounded, 0.5, 5)


def _most(score: Floats, count: int) -> Ints:
    """The places of the `count` highest scores."""
    return np.argsort(-score, kind="stable")[:count]
