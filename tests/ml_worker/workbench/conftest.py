"""Files of events whose users have two clear tastes, plain and as a data set."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """A folder with train.tsv, valid.tsv and test.tsv: 40 users; even ones like even items, odd ones odd ones, of 30."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("events")
    lines: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for user in range(40):
        liked = rng.permutation(np.arange(user % 2, 30, 2))[:10]
        for place, item in enumerate(liked):
            part = "train" if place < 7 else "valid" if place < 8 else "test"
            lines[part].append(f"user {user}\titem {item}\t{rng.integers(1, 6)}\t{1000 * place + user}")
    for part, rows in lines.items():
        (folder / f"{part}.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """A folder in the layout of MovieLens: 50 users who rated 12 of 40 films of two genres, better those of their taste."""
    rng = np.random.default_rng(6)
    folder = tmp_path_factory.mktemp("data") / "films"
    folder.mkdir()
    films = [f'{film},"Film, {film} (1999)",{"Drama" if film % 2 else "Comedy|War"}' for film in range(1, 41)]
    ratings = []
    for user in range(1, 51):
        for film in rng.permutation(np.arange(1, 41))[:12]:
            stars = 4.5 if (user + film) % 2 == 0 else 2.0
            ratings.append(f"{user},{film},{stars},{1_000_000_000 + rng.integers(1_000_000)}")
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]) + "\n")
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n")
    return folder
