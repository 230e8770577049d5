"""A search keeps what it tried, goes on where it stopped, and says what to set."""

import time

import pytest
from typer.testing import CliRunner

from ml_worker.evaluation.splits import at_random
from ml_worker.recommenders.base import ignore
from ml_worker.workbench.asking import AskedWrongly
from ml_worker.workbench.files import UnusableFile
from ml_worker.workbench.given import read_training
from ml_worker.workbench.journal import Journal, Trial, UnusableJournal, fingerprint
from ml_worker.workbench.main import app
from ml_worker.workbench.search import BRACKET, KEPT, Search


def run(*arguments: object):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


class Enough(Exception):
    """Ends a search after some trials, as Ctrl-C does."""


class Counting(Journal):
    """Stops the search when so many trials were made."""

    most = 0

    def add(self, trial: Trial) -> None:
        super().add(trial)
        self.most -= 1
        if self.most == 0:
            raise Enough


@pytest.fixture(scope="session")
def split(files):
    return at_random(read_training(files / "train.tsv"))


def searched(split, path, *, most: int) -> list[Trial]:
    """The trials in the journal after so many more of them."""
    journal = Counting(path, search=fingerprint(split, metric="ndcg@10", seed=0))
    journal.most = most
    with pytest.raises(Enough):
        Search("ease", split, "ndcg@10", 0, journal).run(until=time.monotonic() + 100, progress=ignore)
    return journal.trials


def test_many_are_tried_on_some_users_and_the_best_on_all(split, tmp_path):
    trials = searched(split, tmp_path / "journal.jsonl", most=2 + BRACKET + KEPT)
    assert [trial.share for trial in trials] == [1.0] + [0.25] * BRACKET + [1.0] * KEPT + [0.25]
    first = sorted(trials[1 : BRACKET + 1], key=lambda trial: trial.score, reverse=True)
    assert [trial.config for trial in trials[BRACKET + 1 : -1]] == [trial.config for trial in first[:KEPT]]
    assert len({str(trial.config) for trial in trials[: BRACKET + 1]}) == BRACKET + 1


def test_a_stopped_search_goes_on_where_it_was(split, tmp_path):
    path = tmp_path / "journal.jsonl"
    searched(split, path, most=5)
    assert len(path.read_text().splitlines()) == 5
    goes_on = searched(split, path, most=4)
    at_once = searched(split, None, most=9)
    assert [trial.config for trial in goes_on] == [trial.config for trial in at_once]
    assert [trial.score for trial in goes_on] == pytest.approx([trial.score for trial in at_once])


def test_the_preset_is_tried_even_without_time(split):
    journal = Journal(None, search="x")
    search = Search("als", split, "recall@20", 0, journal)
    search.run(until=time.monotonic(), progress=ignore)
    assert [trial.share for trial in journal.trials] == [1.0]
    assert 0 < search.best().low <= search.best().score <= search.best().high <= 1


def test_a_journal_of_something_else_is_refused(split, tmp_path):
    path = tmp_path / "journal.jsonl"
    searched(split, path, most=1)
    with pytest.raises(UnusableJournal, match="the journal of a search on other data"):
        Journal(path, search=fingerprint(split, metric="recall@10", seed=0))
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(UnusableJournal, match=r"journal\.jsonl, line 2: no trial of a search"):
        Journal(path, search=fingerprint(split, metric="ndcg@10", seed=0))


def test_the_command_prints_what_to_set(files, tmp_path):
    path = tmp_path / "journal.jsonl"
    result = run("tune", "--train", files / "train.tsv", "--algorithm", "ease", "--budget", 1, "--journal", path)
    assert "ease: ndcg@10 0." in result.stdout
    assert "--set ease." in result.stdout or "the preset is the best" in result.stdout
    assert path.exists()
    again = run("tune", "--train", files / "train.tsv", "--valid", files / "valid.tsv", "--algorithm", "popular", "--budget", 0)
    assert "popular: ndcg@10" in again.stdout
    assert "the preset is the best that was tried" in again.stdout


def test_of_a_single_user_there_is_no_interval_and_that_is_said(files, tmp_path):
    (tmp_path / "one.tsv").write_text("".join(f"u\ti{n}\t1\t{n}\n" for n in range(10)))
    result = run("tune", "--train", tmp_path / "one.tsv", "--algorithm", "popular", "--budget", 0)
    assert "(of a single user: no interval)" in result.stdout
    assert "nan" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ([], AskedWrongly, "give either --train FILE or --data"),
        (["--train", "t", "--data", "d"], AskedWrongly, "give either --train FILE or --data"),
        (["--data", "d", "--valid", "v"], AskedWrongly, "--valid goes with --train"),
        (["--train", "t", "--metric", "auc"], AskedWrongly, r"'auc' is not measured; known are ndcg@10"),
        (["--train", "nothing.tsv"], UnusableFile, r"nothing\.tsv cannot be read"),
    ],
)
def test_options_that_make_no_search_are_refused(arguments, kind, sentence):
    with pytest.raises(kind, match=sentence):
        run("tune", *arguments)
