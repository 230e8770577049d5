"""The hidden numbers behind demo data: what films are like, what people like, who meets which film when."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.demo_words import GENRES, MOODS

Random = np.random.Generator
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY = 86_400.0
WINDOW_DAYS = 3 * 365.25
PERIODS = 36
CELLS_AT_A_TIME = 2_000_000

HIDDEN = len(MOODS)
ARCHETYPES = 8
TASTE = 1.4  # how much taste counts against popularity when a film is chosen
NEWNESS = 1.8  # how much a release of the last months gains
NEWNESS_DAYS = 120.0
OBSCURITY = 1.5  # the exponent of the power law of popularity
STAYING = 0.65  # the share of people who are still there at the end
FIRST_WEEKS = 0.25  # the share of sittings that are among somebody's first


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Films as numbers: which genres (items × genres), hidden factors (items × HIDDEN), quality, appeal (log), age in days."""

    genres: NDArray[np.bool_]
    first_genre: Ints
    factors: Floats
    quality: Floats
    appeal: Floats
    age_days: Floats

    @property
    def traits(self) -> Floats:
        """Genres as unit vectors around their mean, beside the hidden factors: what taste is a product with."""
        flags = self.genres / np.sqrt(self.genres.sum(axis=1, keepdims=True))
        return np.hstack([flags - flags.mean(axis=0), self.factors / np.sqrt(HIDDEN)])


@dataclass(frozen=True, slots=True)
class Audience:
    """People as numbers: taste at the start and the end of the window (users × traits), how many films, from when to when."""

    taste_before: Floats
    taste_after: Floats
    strictness: Floats
    film_count: Ints
    joined_day: Floats
    left_day: Floats


@dataclass(frozen=True, slots=True)
class Meetings:
    """Who met which film when: days before the end of the window (0 is the end), and how well film and taste agree (about N(0, 1))."""

    user: Ints
    item: Ints
    days_ago: Floats
    affinity: Floats


def draw_catalogue(random: Random, count: int) -> Catalogue:
    """Films with one to three genres that go together, most of them recent, and a few that nearly everybody knows."""
    weights = np.array([genre.weight for genre in GENRES])
    names = [genre.name for genre in GENRES]
    companions = np.array([[genre.companions.get(name, 0.0) for name in names] for genre in GENRES])
    first = random.choice(len(GENRES), size=count, p=weights / weights.sum())
    extra = random.choice(3, size=count, p=[0.35, 0.4, 0.25])
    draws = np.where(companions[first] > 0, np.log(np.maximum(companions[first], 1e-9)) + random.gumbel(size=(count, len(GENRES))), -np.inf)
    order = np.argsort(-draws, axis=1)[:, :2]
    genres = np.zeros((count, len(GENRES)), dtype=bool)
    genres[np.arange(count), first] = True
    for place in range(2):
        rows = np.flatnonzero((extra > place) & np.isfinite(draws[np.arange(count), order[:, place]]))
        genres[rows, order[rows, place]] = True
    factors = 0.6 * random.normal(size=(len(GENRES), HIDDEN))[first] + 0.8 * random.normal(size=(count, HIDDEN))
    quality = random.normal(size=count)
    rank = np.argsort(np.argsort(-(0.5 * quality + random.normal(size=count))))
    return Catalogue(genres, first, factors, quality, -OBSCURITY * np.log(rank + 0.015 * count + 2), _ages(random, count))


def _ages(random: Random, count: int) -> Floats:
    """Days since release; at least half of the films are older than the window, so that its first visitor finds a catalogue."""
    ages = random.gamma(0.9, 8 * 365.25, size=count)
    ages[: (count + 1) // 2] += WINDOW_DAYS
    random.shuffle(ages)
    return np.minimum(ages, 85 * 365.25)


def draw_audience(random: Random, count: int, *, meetings: int, most: int) -> Audience:
    """People of a few kinds, each with an own taste that drifts; how many films they meet is as uneven as it is in life."""
    traits = len(GENRES) + HIDDEN
    kinds = random.normal(size=(ARCHETYPES, traits))
    taste = 0.75 * kinds[random.integers(ARCHETYPES, size=count)] + 0.66 * random.normal(size=(count, traits))
    drift = 0.5 * random.normal(size=(count, traits))
    joined = WINDOW_DAYS * random.beta(1.1, 1.4, size=count)  # days before the end
    left = np.where(random.random(count) < STAYING, 0.0, joined * random.random(count))
    film_count = _shares(random.lognormal(0, 1.3, size=count), total=meetings, most=most)
    return Audience(taste - drift / 2, taste + drift / 2, 0.42 * random.normal(size=count), film_count, joined, left)


def _shares(weights: Floats, *, total: int, most: int) -> Ints:
    """Whole numbers up to `most`, in proportion to the weights above a common minimum, that add up to `total`."""
    least = min(10, total // len(weights) // 2)
    low, high = 0.0, float(most) / weights.min()
    for _ in range(60):
        scale = (low + high) / 2
        if int(np.minimum(least + np.floor(scale * weights), most).sum()) > total:
            high = scale
        else:
            low = scale
    shares: Ints = np.minimum(least + np.floor(low * weights), most).astype(np.int64)
    while (missing := total - int(shares.sum())) > 0:
        room = np.flatnonzero(shares < most)[:missing]
        shares[room] += 1
    return shares


def draw_meetings(random: Random, catalogue: Catalogue, audience: Audience) -> Meetings:
    """Every meeting of a person and a film: first when, in sittings of a few films, then which film.

    Within a period a person's films are drawn without repetition with probability ∝ exp(appeal + newness + TASTE · affinity)
    (the Gumbel top-k method: Kool et al. 2019, https://arxiv.org/abs/1903.06059).
    """
    user, days_ago = _sittings(random, audience)
    period = np.minimum((WINDOW_DAYS - days_ago) * PERIODS / WINDOW_DAYS, PERIODS - 1).astype(np.int64)
    order = np.lexsort((-days_ago, user))
    user, days_ago, period = user[order], days_ago[order], period[order]
    item, affinity = np.empty(len(user), dtype=np.int64), np.empty(len(user))
    users_at_a_time = max(1, CELLS_AT_A_TIME // len(catalogue.quality))
    for start in range(0, len(audience.film_count), users_at_a_time):
        low, high = np.searchsorted(user, [start, start + users_at_a_time])
        batch = slice(int(low), int(high))
        item[batch], affinity[batch] = _choose(random, catalogue, audience, user[batch], period[batch])
    return Meetings(user, item, days_ago, affinity)


def _sittings(random: Random, audience: Audience) -> tuple[Ints, Floats]:
    """The user and the days ago of every meeting: about two and a half films a sitting, one after the other, many in the first weeks."""
    user = np.repeat(np.arange(len(audience.film_count)), audience.film_count)
    sitting_count = np.maximum(1, (audience.film_count / 2.5).astype(np.int64))
    first_sitting = np.cumsum(sitting_count) - sitting_count
    owner = np.repeat(np.arange(len(sitting_count)), sitting_count)
    joined, left = audience.joined_day[owner], audience.left_day[owner]
    share = np.where(random.random(len(owner)) < FIRST_WEEKS, random.beta(1, 30, size=len(owner)), random.random(len(owner)))
    start = joined - share * (joined - left)
    sitting = np.sort(first_sitting[user] + (random.random(len(user)) * sitting_count[user]).astype(np.int64))
    place = np.arange(len(sitting)) - np.searchsorted(sitting, sitting)
    length = np.bincount(sitting, minlength=len(owner))
    # A sitting that would outlast the window starts earlier; each film takes about two hours.
    start = np.maximum(start, (length * 2.4 + 0.5) / 24)
    return owner[sitting], start[sitting] - (place * 2.4 + 0.2 * random.random(len(sitting))) / 24


def _choose(random: Random, catalogue: Catalogue, audience: Audience, user: Ints, period: Ints) -> tuple[Ints, Floats]:
    """Which film each meeting of a batch of users is with, period by period, no film twice for the same user."""
    item, affinity = np.empty(len(user), dtype=np.int64), np.empty(len(user))
    if not len(user):
        return item, affinity
    first = int(user[0])
    met = np.zeros((int(user[-1]) - first + 1, len(catalogue.quality)), dtype=bool)
    traits = catalogue.traits
    for now in range(PERIODS):
        rows = np.flatnonzero(period == now)
        people, count = np.unique(user[rows], return_counts=True)
        if not len(people):
            continue
        later = now / (PERIODS - 1)
        taste = (1 - later) * audience.taste_before[people] + later * audience.taste_after[people]
        agreement = taste @ traits.T
        utility = TASTE * agreement + _appeal(catalogue, now) + random.gumbel(size=agreement.shape)
        utility[met[people - first]] = -np.inf
        chosen = _best(utility, int(count.max()))
        person = np.repeat(np.arange(len(people)), count)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        item[rows] = chosen[person, place]
        affinity[rows] = agreement[person, item[rows]]
        met[people[person] - first, item[rows]] = True
    return item, affinity


def _appeal(catalogue: Catalogue, period: int) -> Floats:
    """The appeal of every film in a period: new ones gain for some months, old ones fade, unreleased ones have none."""
    days_ago = WINDOW_DAYS * (1 - period / PERIODS)
    age = catalogue.age_days - days_ago
    known = np.maximum(age, 0.0)
    appeal = catalogue.appeal + NEWNESS * np.exp(-known / NEWNESS_DAYS) - 0.35 * np.log1p(known / 3650)
    return np.where(age >= 0, appeal, -np.inf)


def _best(utility: Floats, count: int) -> Ints:
    """The columns of the `count` largest values of every row, largest first."""
    top = np.argpartition(-utility, count - 1, axis=1)[:, :count]
    return np.take_along_axis(top, np.argsort(-np.take_along_axis(utility, top, axis=1), axis=1), axis=1)
