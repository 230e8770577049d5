"""What was tried so far, a JSON line a trial, so that a search that was stopped goes on where it was."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ml_worker.evaluation.splits import Split


class UnusableJournal(Exception):
    """A file that is no journal, or one of another search; the message says which."""


class Trial(BaseModel):
    """One configuration on one share of the users; `score` is None where the training failed, `note` says why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: str  # fingerprint of the data and the questions
    algorithm: str
    config: dict[str, Any]
    share: float
    score: float | None
    low: float | None = None
    high: float | None = None
    seconds: float
    note: str = ""


class Journal:
    """The trials of one search, in a file if there is one. Raises `UnusableJournal` for a file of something else."""

    def __init__(self, path: Path | None, *, search: str) -> None:
        self._path, self.search = path, search
        self.trials: list[Trial] = []
        if path is not None and path.exists():
            self.trials = [
                _read(path, number, line) for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if line
            ]
        other = next((trial for trial in self.trials if trial.search != search), None)
        if other is not None:
            raise UnusableJournal(f"{path} is the journal of a search on other data or other questions; name another file")

    def find(self, algorithm: str, config: dict[str, Any], share: float) -> Trial | None:
        """The trial of this configuration, if it was made before."""
        same = (trial for trial in self.trials if (trial.algorithm, trial.config, trial.share) == (algorithm, config, share))
        return next(same, None)

    def add(self, trial: Trial) -> None:
        """Keep a trial; it is in the file when this returns."""
        self.trials.append(trial)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(trial.model_dump_json() + "\n")


def fingerprint(split: Split, *, metric: str, seed: int) -> str:
    """The same for the same training data, questions and metric."""
    digest = hashlib.sha256(f"{metric} {seed}".encode())
    for column in (split.train.users, split.train.items, split.train.weights, split.train.times, split.test.rows, split.test.items):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]


def _read(path: Path, number: int, line: str) -> Trial:
    try:
        return Trial.model_validate_json(line)
    except ValidationError as error:
        raise UnusableJournal(f"{path}, line {number}: no trial of a search; name another file or remove the line") from error
