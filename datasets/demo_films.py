"""Invents what a film is called and what it is about, from its genres."""

from collections.abc import Callable, Sequence

import numpy as np

from datasets.demo_words import FIRST_NAMES, GENRES, MOODS, OPENINGS, PLACES, SURNAMES, Genre

Random = np.random.Generator

GENRE_NAMES = tuple(genre.name for genre in GENRES)
MIXED_PLOTS = 0.3
_BY_NAME = {genre.name: genre for genre in GENRES}

# Each carries an invented name, or two words that nobody has put side by side: see the test that compares them with real titles.
_PATTERNS: tuple[tuple[float, Callable[[Random, Genre], str]], ...] = (
    (2, lambda random, genre: f"The {pick(random, genre.adjectives)} {pick(random, genre.nouns)} of {pick(random, PLACES)}"),
    (3, lambda random, genre: f"{pick(random, genre.adjectives)} {pick(random, genre.nouns)}"),
    (2, lambda random, genre: f"The {pick(random, genre.nouns)} of {pick(random, PLACES)}"),
    (2, lambda random, genre: f"{pick(random, FIRST_NAMES)} {pick(random, SURNAMES)} and the {pick(random, genre.nouns)}"),
    (1, lambda random, genre: f"{pick(random, genre.nouns)} at {pick(random, PLACES)}"),
    (1, lambda random, genre: f"{pick(random, FIRST_NAMES)} {pick(random, SURNAMES)}'s {pick(random, genre.nouns)}"),
    (1, lambda random, genre: f"{pick(random, PLACES)}: The {pick(random, genre.adjectives)} {pick(random, genre.nouns)}"),
    (1, lambda random, _: f"{pick(random, FIRST_NAMES)} of {pick(random, PLACES)}"),
    (1, lambda random, _: f"{pick(random, OPENINGS)} {pick(random, PLACES)}"),
    (1, lambda random, _: f"{pick(random, OPENINGS)} {pick(random, FIRST_NAMES)} {pick(random, SURNAMES)}"),
)
_WEIGHTS = np.array([weight for weight, _ in _PATTERNS]) / sum(weight for weight, _ in _PATTERNS)


def pick(random: Random, options: Sequence[str]) -> str:
    """One of the options, each as likely as the other."""
    return options[int(random.integers(len(options)))]


def titles(random: Random, genres: Sequence[str]) -> list[str]:
    """A title for each film by its first genre, no two alike: a name that comes up again becomes a sequel."""
    count: dict[str, int] = {}
    invented = []
    for genre, pattern in zip(genres, random.choice(len(_PATTERNS), size=len(genres), p=_WEIGHTS), strict=True):
        title = _PATTERNS[pattern][1](random, _BY_NAME[genre])
        count[title] = count.get(title, 0) + 1
        invented.append(title if count[title] == 1 else f"{title}, Part {count[title]}")
    return invented


def description(random: Random, genres: Sequence[str]) -> str:
    """One sentence of plot, whose second half may come from another of the film's genres."""
    hero = pick(random, _BY_NAME[genres[0]].heroes)
    deed = pick(random, _BY_NAME[genres[-1] if random.random() < MIXED_PLOTS else genres[0]].deeds)
    return f"In {pick(random, PLACES)}, {hero} must {deed}."


def person(random: Random) -> str:
    """The full name of somebody who does not exist."""
    return f"{pick(random, FIRST_NAMES)} {pick(random, SURNAMES)}"


def tags(factors: Sequence[float]) -> list[str]:
    """What people would say of a film whose hidden factors these are, the most striking first."""
    strength = [(abs(value), low if value < 0 else high) for value, (low, high) in zip(factors, MOODS, strict=True)]
    return [mood for size, mood in sorted(strength, reverse=True) if size > 1][:3]
