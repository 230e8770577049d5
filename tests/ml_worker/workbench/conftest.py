"""Files of events whose users have two clear tastes."""

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
